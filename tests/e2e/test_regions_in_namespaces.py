"""Three regions with addresses of their own, 80, 120 and 200 ms from the coordinator; one is cut off for a while."""

from __future__ import annotations

import json
import os
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from waiting import wait_until

from covey.client import Client
from covey.demo.link import Link
from covey.demo.supervisor import Supervisor
from covey.generate import GenerationPlan, write_parquet
from covey.v1.rollouts_pb2 import Rollout

from .harness import COVEY
from .namespaces import Namespace, namespaces, require_namespaces

pytestmark = pytest.mark.e2e

ROUND_TRIPS = {"eu": 0.08, "us": 0.12, "ap": 0.2}
# The promise is a p99 below 100 ms inside each region. Beside other tests on a busy machine latency is the machine's:
# the suite asks for few calls that are answered at all, `make regions` for the promise.
PROMISED = os.environ.get("COVEY_REGIONS_PROMISE") == "1"
LEARNERS, RATE = 100, 60.0 if PROMISED else 10.0
PATIENCE_SECONDS = 180.0

FLEET = """\
name: three
on_region_harm: rollback_region
regions:
{regions}
rollout:
  target: analyzer
  baseline: reference
  candidate: native
  tick_interval: 0.5s
  soak_tick_interval: 0.5s
  probe_interval: 1s
  metrics_grace: 10m
  phases:
    - name: canary
      traffic_share: 50 %
      hold: 4s
      max_hold: 20m
      criteria: [{{statement: error_rate < 40 %, margin: 0}}]
    - name: rollout
      traffic_share: 100 %
      hold: 4s
      max_hold: 20m
      approvals: {{roles: [operations]}}
      criteria: [{{statement: error_rate < 40 %, margin: 0}}]
  triggers: [{{statement: error_rate > 80 %, tolerance: 0}}]
"""


def test_waves_a_killed_coordinator_and_a_region_that_holds_alone(tmp_path: Path) -> None:
    require_namespaces()
    events = tmp_path / "events.parquet"
    write_parquet(GenerationPlan(learner_count=LEARNERS, seed=5), events)
    with namespaces(list(ROUND_TRIPS), tmp_path) as spaces, ExitStack() as stack:
        supervisors = {name: stack.enter_context(Supervisor(spaces[name].directory)) for name in spaces}
        servers = {name: spaces[name].launch(supervisors[name]) for name in spaces}
        for name, space in spaces.items():
            space.drive(servers[name])
        loads = {name: space.call(events, RATE, LEARNERS) for name, space in spaces.items()}
        links = {
            name: stack.enter_context(Link(space.control, round_trip_seconds=ROUND_TRIPS[name]))
            for name, space in spaces.items()
        }
        people = {name: stack.enter_context(space.people()) for name, space in spaces.items()}
        assert_far_away(links)
        fleet = tmp_path / "fleet.yaml"
        fleet.write_text(FLEET.format(regions="\n".join(
            f"  - {{name: {name}, wave: {1 if name == 'eu' else 2}, control: '{link.address}'}}"
            for name, link in links.items()
        )))  # fmt: skip
        log = tmp_path / "fleet.log"

        def state(name: str) -> Rollout.State.ValueType:
            found = {it.name: it.state for it in people[name].list_rollouts()}
            return found.get("rollouts/three", Rollout.STATE_UNSPECIFIED)

        def reaches(name: str, wanted: Rollout.State.ValueType) -> None:
            wait_until(lambda: state(name) == wanted, PATIENCE_SECONDS, lambda: f"{name} {state(name)}: {said(log)}")

        with coordinating(fleet, log) as first:
            reaches("eu", Rollout.STATE_AWAITING_APPROVAL)
            for name in ("us", "ap"):
                reaches(name, Rollout.STATE_DRAFT)  # checked by their servers, and not begun
            first.kill()
        sign(spaces["eu"])
        reaches("eu", Rollout.STATE_SUCCEEDED)
        with coordinating(fleet, log) as second:
            reaches("us", Rollout.STATE_AWAITING_APPROVAL)
            links["us"].cut()
            wait_until(lambda: "us: out of reach since" in said(log), PATIENCE_SECONDS, lambda: said(log))
            held = people["us"].get_rollout("three")
            assert (held.state, held.candidate_weight_bp) == (Rollout.STATE_AWAITING_APPROVAL, 5000), "it holds alone"
            looked = held.last_sequence
            wait_until(lambda: people["us"].get_rollout("three").last_sequence > looked + 3, PATIENCE_SECONDS)
            sign(spaces["ap"])
            reaches("ap", Rollout.STATE_SUCCEEDED)
            links["us"].heal()
            wait_until(lambda: "us: outage" in said(log), PATIENCE_SECONDS, lambda: said(log))
            sign(spaces["us"])
            reaches("us", Rollout.STATE_SUCCEEDED)
            assert second.wait(PATIENCE_SECONDS) == 0, said(log)
        assert "SUCCEEDED: the candidate serves everybody in eu, us, ap" in said(log)
        told = [it.incident_reported.incident_id for it in people["us"].list_entries("three", omit_ticks=True)]
        assert any(it.startswith("out-of-reach-") for it in told)
        for name in spaces:
            kinds = [it.WhichOneof("payload") for it in people[name].list_entries("three", omit_ticks=True)]
            assert kinds.count("started") == kinds.count("finished") == 1, "once, whoever called"
            supervisors[name].stop(loads[name])
            judge_latency(name, json.loads(loads[name].log_tail().splitlines()[-1]))


def assert_far_away(links: dict[str, Link]) -> None:
    """A call over the line takes at least its round trip: the lines are as long as they should be."""
    for name, link in links.items():
        with Client(control=link.address, timeout_seconds=60.0) as far:
            list(far.list_rollouts())
            begin = time.monotonic()
            list(far.list_rollouts())
            assert time.monotonic() - begin >= ROUND_TRIPS[name] * 0.95


def judge_latency(name: str, load: dict) -> None:  # type: ignore[type-arg]
    latency = load["latency_ms"]
    print(name, load)
    assert load["codes"]["OK"] > 0
    if PROMISED:
        assert load["codes"]["OK"] == sum(load["codes"].values())
        assert latency["p99"] < 100, f"inside region {name}"


def sign(space: Namespace) -> None:
    with space.people("ofelia") as client:
        client.approve_rollout("three", "rollout", "operations", reason="looked at it")


def said(log: Path) -> str:
    """What the coordinators have printed so far, on one line."""
    return " ".join(log.read_text(encoding="utf-8").split())


class coordinating:  # noqa: N801 - it reads as what it does
    """`covey fleet run` as a process, gone afterwards."""

    def __init__(self, fleet: Path, log: Path) -> None:
        self._command = [
            str(COVEY),
            "fleet",
            "run",
            str(fleet),
            "--interval",
            "0.5s",
            "--timeout",
            "5s",
            "--as",
            "fleet",
        ]
        self._log = log

    def __enter__(self) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, env=environment)
        return self._process

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.wait()
