"""Three replicas and a controller upgraded and rolled back under load, tables and a variant changed at once.

What stands in `code-2.tar.xz` runs first: the covey that knew version 2 of the tables. One upgrade and one way back
here; `make upgrades UPGRADES=20` for the figure of docs/upgrades.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from server.postgres import Cluster
from server.test_rolling_restarts import Load
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool
from waiting import PATIENCE_SECONDS, wait_until

from covey.client import Client, Retry
from covey.rollout import chain
from covey.rollout.spec import load_spec
from covey.v1.outcomes_pb2 import Outcome
from covey.v1.rollouts_pb2 import Rollout
from covey.v1.variants_pb2 import Variant

from .code import TODAY, Code, older_code
from .installation import Installation, Replica

UPGRADES = int(os.environ.get("COVEY_UPGRADES") or "1")
BEFORE, AFTER = 2, 3
# What is promised; one upgrade in the suite may meet a machine that does ten other things.
ROLLBACK_SECONDS = 120.0 if UPGRADES > 1 else 1200.0
# The first of these asks for evidence while replicas come and go, and the last ends when all of them are there.
PLAN = """
target: analyzer
baseline: {baseline}
candidate: {candidate}
tick_interval: 0.5s
soak_tick_interval: 0.5s
probe_interval: 0.5s
metrics_grace: 20m
phases:
  - name: canary
    traffic_share: 50 %
    hold: 3s
    max_hold: 5h
    criteria: [{{statement: error_rate < 5 %, margin: 0}}]
  - {{name: everybody, traffic_share: 100 %, hold: 3s, max_hold: 5h}}
"""


class UpgradeLoad(Load):
    """Four callers that ask, one that makes variants and reports outcomes; each call with the client's retries."""

    def __init__(self, installation: Installation) -> None:
        self.reported_count = 0
        balancer = installation.balancer
        ports: Any = SimpleNamespace(data_port=balancer.data_port, control_port=balancer.control_port)
        super().__init__(ports, Retry())

    def _ask(self, client: Client, number: int) -> None:
        super()._ask(client, number)
        self._stopping.wait(0.02)

    def _make(self, client: Client, number: int) -> None:
        if number % 2:
            outcome = Outcome(learner_id=f"learner-{number}", metric="score", value=1.0)
            outcome.time.GetCurrentTime()
            self.reported_count += client.report_outcomes([outcome]).stored_count
        else:
            client.create_variant(f"made-{number}", Variant(engine="native"))
            self.made.append(f"variants/made-{number}")
        self._stopping.wait(0.05)


class World:
    """The installation, who loads it, and what it should be in the end."""

    def __init__(self, installation: Installation, store_url: str) -> None:
        self.installation = installation
        self.store_url = store_url
        self.stable = "variants/native"
        self.expected: dict[str, Rollout.State] = {}
        balancer = installation.balancer
        self.client = Client(
            data=f"127.0.0.1:{balancer.data_port}",
            control=f"127.0.0.1:{balancer.control_port}",
            timeout_seconds=PATIENCE_SECONDS,
            actor="operator",
        )

    def start_rollout(self, name: str) -> str:
        """A new variant, and its rollout over the stable one."""
        self.client.create_variant(name, Variant(engine="native", description=name))
        plan = PLAN.format(baseline=self.stable, candidate=f"variants/{name}")
        rollout = self.client.create_rollout(name, load_spec(plan, "plan.yaml"))
        self.client.start_rollout(rollout.name)
        wait_until(lambda: self.state(rollout.name) == Rollout.STATE_RUNNING)
        return rollout.name

    def state(self, name: str) -> Rollout.State:
        return self.client.get_rollout(name).state

    def succeeds(self, name: str) -> None:
        wait_until(
            lambda: self.state(name) == Rollout.STATE_SUCCEEDED,
            4 * PATIENCE_SECONDS,
            lambda: self.client.get_rollout(name),
        )
        self.expected[name] = Rollout.STATE_SUCCEEDED
        self.stable = self.client.get_rollout(name).spec.candidate

    def is_aborted(self, name: str) -> None:
        """Over by the code that runs now."""
        self.client.abort_rollout(name, reason="a test")
        wait_until(lambda: self.state(name) == Rollout.STATE_ABORTED)
        self.expected[name] = Rollout.STATE_ABORTED

    def check(self, version: int) -> None:
        """Every replica has the same, and it is what was acknowledged."""
        assert self._version() == version
        journals = []
        for replica in self.installation.replicas:
            with Client(
                data=f"127.0.0.1:{replica.data}",
                control=f"127.0.0.1:{replica.control}",
                timeout_seconds=PATIENCE_SECONDS,
            ) as client:
                wait_until(lambda client=client: client.get_server_info().stable_variant == self.stable)  # type: ignore[misc]
                assert {one.name: one.state for one in client.list_rollouts()} == self.expected
                journals.append({name: list(client.list_entries(name)) for name in self.expected})
        assert journals[0] == journals[1] == journals[2]
        for name, entries in journals[0].items():
            digest = chain.first_digest(name)
            assert [entry.sequence for entry in entries] == list(range(1, len(entries) + 1))
            for entry in entries:
                assert entry.previous_digest == digest
                digest = chain.next_digest(digest, entry.SerializeToString(deterministic=True))
            if self.expected[name] == Rollout.STATE_SUCCEEDED:
                phases = [entry.phase_entered.phase for entry in entries if entry.HasField("phase_entered")]
                assert phases == ["canary", "everybody"]

    def _version(self) -> int:
        return int(self._column("SELECT version FROM schema_version")[0])

    def _column(self, query: str) -> list[Any]:
        with create_engine(self.store_url, poolclass=NullPool).connect() as connection:
            return list(connection.execute(text(query)).scalars())

    def check_acknowledged(self, load: UpgradeLoad) -> None:
        """What callers made is there once, and nothing else."""
        made = [variant.name for variant in self.client.list_variants() if variant.name.startswith("variants/made-")]
        assert sorted(made) == sorted(load.made)
        assert self._column("SELECT count(*) FROM outcomes") == [load.reported_count]

    def check_ended(self) -> None:
        """No row is as only older code would leave it."""
        assert not self._column("SELECT name FROM rollouts WHERE is_finished <> (finished_resource IS NOT NULL)")


def planned(world: World) -> tuple[str, list[str]]:
    """What `covey upgrade plan` says: its summary, and the titles of its steps."""
    replicas = [
        f"--replica=data=127.0.0.1:{one.data},metrics=http://127.0.0.1:{one.metrics}/metrics"
        for one in world.installation.replicas
    ]
    control = f"--control=127.0.0.1:{world.installation.balancer.control_port}"
    command = [sys.executable, "-m", "covey.cli", "upgrade", "plan", "--store-url", world.store_url, control, *replicas]
    done = subprocess.run(
        [*command, "--timeout=60s", "--output=json"],
        capture_output=True,
        text=True,
        timeout=5 * PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    return said["summary"], [step["title"].partition(":")[0] for step in said["steps"]]


def migrate(world: World, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`covey state migrate` as people type it."""
    command = [sys.executable, "-m", "covey.cli", "state", "migrate", "--store-url", world.store_url, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=5 * PATIENCE_SECONDS, check=False)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    running = Cluster()
    yield running
    running.remove()


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Code:
    return older_code(BEFORE, tmp_path_factory.mktemp("older") / "code")


@pytest.fixture
def world(cluster: Cluster, older: Code, tmp_path: Path) -> Iterator[World]:
    url = cluster.database()
    installation = Installation(tmp_path / "installation", url, older)
    made = World(installation, url)
    yield made
    made.client.close()
    installation.kill()


def refuses_what_is_ended(replica: Replica, older: Code) -> None:
    """The twin of the step back: without it the older code does not start, and says what to do."""
    replica.stop()
    with pytest.raises(AssertionError, match=f"step back with its `covey state migrate --to {BEFORE}`"):
        replica.start(older)
    replica.start(TODAY)


def test_upgraded_and_rolled_back_under_load_without_a_failed_call(world: World, older: Code) -> None:
    installation = world.installation
    load = UpgradeLoad(installation)
    try:
        wait_until(lambda: load.answered_count > 50 and load.reported_count > 1)
        for number in range(UPGRADES):
            failed, answered = load.attempts_failed, load.answered_count
            rollout = world.start_rollout(f"upgraded-{number}")
            begun = time.monotonic()
            for count, process in enumerate((*installation.replicas, installation.controller)):
                process.replace(TODAY)
                if count == 0:
                    summary, titles = planned(world)
                    assert "1 of 3 replicas are done" in summary
                    assert [title.split()[0] for title in titles] == ["Copy", *["Replace"] * 3, "End"]
                    refused = migrate(world)  # while older servers are there
                    assert refused.returncode == 1
                    assert "would no longer understand" in " ".join(refused.stderr.split())
            took = time.monotonic() - begun
            world.succeeds(rollout)
            world.check(BEFORE)
            assert migrate(world).returncode == 0
            world.check(AFTER)
            world.check_ended()
            assert planned(world)[1] == []
            upgraded = load.attempts_failed

            back = world.start_rollout(f"back-{number}")
            refuses_what_is_ended(installation.replicas[0], older)
            begun = time.monotonic()
            assert migrate(world, "--to", str(BEFORE)).returncode == 0
            installation.replace(older)
            seconds = time.monotonic() - begun
            world.succeeds(back)
            world.is_aborted(world.start_rollout(f"aborted-{number}"))
            world.check(BEFORE)
            print(
                f"\nupgrade {number + 1}: {took:.1f} s, {upgraded - failed} attempts failed; back: {seconds:.1f} s,"
                f" {load.attempts_failed - upgraded} attempts failed; {load.answered_count - answered} answers, calls"
                f" failed: {len(load.failures)}",
                flush=True,
            )
            assert load.failures == []
            assert seconds < ROLLBACK_SECONDS
        before = load.answered_count
        wait_until(lambda: load.answered_count > before + 50)
    finally:
        load.stop()
    assert load.failures == []
    world.check_acknowledged(load)
