"""kill -9 at the worst moments: the rollout goes on from its journal and ends as it would have."""

from __future__ import annotations

import time
import urllib.request
from pathlib import Path

import pytest

from covey.demo.script import Demo, begin_rollout, prepare, sign
from covey.demo.setup import read_plan
from covey.demo.stack import Stack
from covey.demo.supervisor import Supervisor
from covey.rollout.spec import load_spec
from covey.v1.rollouts_pb2 import Rollout

from .amounts import amount
from .harness import Interferer, in_phase, kill_9, short_options

pytestmark = pytest.mark.e2e

PHASES = ("canary", "ramp", "rollout")


@pytest.mark.parametrize("phase", PHASES[: amount("PHASES", 1)])
def test_server_and_controller_killed_in_a_phase(phase: str, tmp_path: Path) -> None:
    """The server dies in one phase, the controller in the next; over three runs (`make faults`) in each phase.

    The server dies once per run: twice in a row with weight on the candidate would be a crash loop, and rolled back.
    """
    audience = Interferer({})
    demo = Demo(short_options(tmp_path), audience)

    def stack() -> Stack:
        assert demo.stack is not None
        return demo.stack

    following = PHASES[(PHASES.index(phase) + 1) % len(PHASES)]
    audience.plan = {
        f"server in {phase}": (in_phase(phase, 1.5), lambda: kill_9(stack().server)),
        f"controller in {following}": (in_phase(following, 1.5), lambda: kill_9(stack().controller)),
    }
    result = demo.run()

    assert set(audience.done) == set(audience.plan)
    assert result.rollout.state == Rollout.STATE_SUCCEEDED, result.rollout.explanation
    assert result.info.stable_variant == result.rollout.spec.candidate
    assert result.server_restarts == 1
    assert stack().controller is not None
    assert stack().controller.restart_count == 1
    # What happened is what would have happened: three phases, each entered once, nothing rolled back, one end.
    kinds = audience.kinds()
    assert kinds.count("phase_entered") == 3
    assert kinds.count("finished") == 1
    assert "rollback_started" not in kinds
    sequences = [entry.sequence for entry in audience.entries]
    assert sequences == sorted(set(sequences))


def test_with_the_controller_dead_abort_takes_the_share_at_once(tmp_path: Path) -> None:
    options = short_options(tmp_path)
    options.directory.mkdir(parents=True)
    audience = Interferer({})
    with Supervisor(options.directory) as supervisor:
        stack = Stack(supervisor, options.directory)
        events = prepare(stack, options, audience)
        with stack.client("operator") as client:
            name = begin_rollout(stack, client, load_spec(*read_plan(options.plan)), options, events, audience)
            deadline = time.monotonic() + 30
            while client.get_server_info().active_split.candidate_weight_bp != 5000:
                assert time.monotonic() < deadline, client.get_rollout(name)
                supervisor.check()
                sign(client, client.get_rollout(name))
                time.sleep(0.05)
            assert stack.controller is not None
            supervisor.kill(stack.controller)

            begin = time.monotonic()
            aborted = client.abort_rollout(name, reason="the test says so")
            info = client.get_server_info()
            assert stack.ports is not None
            with urllib.request.urlopen(stack.ports.metrics_url, timeout=5) as answer:
                page = answer.read().decode()
            took = time.monotonic() - begin

            assert aborted.candidate_weight_bp == 0
            assert info.active_split.candidate_weight_bp == 0
            assert f'covey_rollout_weight_ratio{{rollout="{name}"}} 0.0' in page
            assert took < 2.0, f"{took:.2f} s from the abort to the page that shows it"
            assert info.stable_variant == "variants/reference"

            # A controller that comes back finds the abort in the journal and finishes it.
            stack.start_controller()
            while client.get_rollout(name).state != Rollout.STATE_ABORTED:
                assert time.monotonic() < begin + 30, client.get_rollout(name)
                time.sleep(0.05)
