"""A real HAProxy between real gRPC calls: who goes where, who may change it, and what a restart or a lie looks like."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import xxhash
from waiting import happens, wait_until

from covey.v1 import evidence_pb2 as pb
from covey.v1.rollout_spec_pb2 import RolloutSpec
from covey_controller.scrape import AbsenceError
from covey_controller.traffic.haproxy import Haproxy, exchange
from covey_controller.traffic.haproxy_config import haproxy_config
from covey_controller.traffic.setting import Setting, StaleEpochError

from ..echo import NOBODY, Echo, say, two_echos
from .haproxy_process import HaproxyProcess, control_socket, echo_plan, haproxy

_REACHED = " reached=%[nbsrv(covey_echo_baseline)]/%[nbsrv(covey_echo_candidate)]"
LEARNERS = [f"learner-{number}" for number in range(2000)]


def place(learner: str) -> int:
    """As HAProxy computes it, from another implementation of the hash."""
    return int(xxhash.xxh32(learner.encode(), seed=0).intdigest()) % 10_000


@pytest.fixture
def echos() -> Iterator[tuple[Echo, Echo]]:
    with two_echos() as pair:
        yield pair


@pytest.fixture
def spec(echos: tuple[Echo, Echo], tmp_path: Path) -> RolloutSpec:
    return echo_plan(*echos, f"haproxy: {{routers: ['{control_socket(tmp_path)}']}}")


@pytest.fixture
def process(spec: RolloutSpec, tmp_path: Path) -> Iterator[HaproxyProcess]:
    with haproxy(spec, tmp_path) as running:
        yield running


@pytest.fixture
def actuator(process: HaproxyProcess, spec: RolloutSpec) -> Iterator[Haproxy]:
    made = Haproxy(spec)
    yield made
    made.close()


def shown_bp(actuator: Haproxy, epoch: int, weight_bp: int) -> int:
    ((name, reading),) = actuator.keep(epoch, weight_bp)
    assert name.startswith("haproxy unix:")
    assert isinstance(reading, pb.ReplicaReading), reading
    return reading.candidate_weight_bp


def test_learners_are_split_exactly_stay_where_they_are_and_only_join(
    echos: tuple[Echo, Echo], process: HaproxyProcess, actuator: Haproxy
) -> None:
    baseline, candidate = echos
    chosen: dict[int, set[str]] = {}
    with grpc.insecure_channel(process.address) as channel:
        for weight_bp in (0, 100, 1000, 10_000):
            assert shown_bp(actuator, 1, weight_bp) == weight_bp
            baseline.learners.clear()
            candidate.learners.clear()
            assert set(say(channel, LEARNERS)) == {grpc.StatusCode.OK}
            expected = {learner for learner in LEARNERS if place(learner) < weight_bp}
            assert set(candidate.learners) == expected
            assert set(baseline.learners) == set(LEARNERS) - expected
            chosen[weight_bp] = expected
        assert len(chosen[100]) == 21
        assert len(chosen[1000]) == 171
        assert chosen[0] < chosen[100] < chosen[1000] < chosen[10_000] == set(LEARNERS)
        # Down again: the same learners as before.
        shown_bp(actuator, 1, 100)
        candidate.learners.clear()
        say(channel, LEARNERS)
        assert set(candidate.learners) == chosen[100]


def test_a_call_of_nobody_gets_the_baseline(
    echos: tuple[Echo, Echo], process: HaproxyProcess, actuator: Haproxy
) -> None:
    shown_bp(actuator, 1, 10_000)
    with grpc.insecure_channel(process.address) as channel:
        say(channel, [NOBODY] * 50)
    assert [len(echo.learners) for echo in echos] == [50, 0]


def test_a_killed_candidate_costs_its_own_calls_only(
    echos: tuple[Echo, Echo], process: HaproxyProcess, actuator: Haproxy
) -> None:
    shown_bp(actuator, 1, 1000)
    echos[1].close()
    with grpc.insecure_channel(process.address) as channel:
        codes = say(channel, LEARNERS[:1000])
        failed = {learner for learner, code in zip(LEARNERS, codes, strict=False) if code is not grpc.StatusCode.OK}
        assert failed <= {learner for learner in LEARNERS[:1000] if place(learner) < 1000}
        # HAProxy's own check finds it gone, and its learners get the baseline.
        assert wait_until(lambda: set(say(channel, LEARNERS[:1000])) == {grpc.StatusCode.OK}, 30)
        assert exchange(process.control).setting.weight_bp == 1000, "whether it is rolled back, the controller decides"


def test_it_says_whom_it_reaches(echos: tuple[Echo, Echo], process: HaproxyProcess, actuator: Haproxy) -> None:
    def reached() -> tuple[int, int]:
        ((_, reading),) = actuator.keep(1, 1000)
        assert isinstance(reading, pb.ReplicaReading)
        return reading.reached.baseline_count, reading.reached.candidate_count

    assert reached() == (1, 1)
    echos[1].close()
    assert wait_until(lambda: reached() == (1, 0), 30)


def test_a_configuration_of_before_says_nothing_of_it(spec: RolloutSpec, tmp_path: Path) -> None:
    with haproxy(spec, tmp_path, lambda text: text.replace(_REACHED, "")) as running:
        assert exchange(running.control).reached is None


@pytest.mark.parametrize("switched", [True, False], ids=["with the switch", "twin without"])
def test_without_a_word_of_a_controller_the_candidate_gets_nothing(
    echos: tuple[Echo, Echo], spec: RolloutSpec, tmp_path: Path, switched: bool
) -> None:
    def hurried(text: str) -> str:
        assert "lt 60" in text
        return text.replace("lt 60", "lt 2" if switched else "ge 0")

    def served(channel: grpc.Channel) -> int:
        echos[1].learners.clear()
        assert set(say(channel, LEARNERS[:200])) == {grpc.StatusCode.OK}
        return len(echos[1].learners)

    with haproxy(spec, tmp_path, hurried) as running, grpc.insecure_channel(running.address) as channel:
        exchange(running.control, Setting(1, 0, 5000).ticket)
        everybody = served(channel)
        assert everybody > 0
        assert happens(lambda: served(channel) == 0, 60 if switched else 3) == switched
        # A word brings its learners back; with all of the traffic the candidate stays without one.
        exchange(running.control)
        assert served(channel) == everybody
        exchange(running.control, Setting(1, 1, 10_000).ticket)
        assert not happens(lambda: served(channel) < 200, 3)


def test_after_a_restart_nobody_gets_the_candidate_until_it_is_told_again(
    process: HaproxyProcess, actuator: Haproxy
) -> None:
    assert shown_bp(actuator, 7, 1000) == 1000
    before = exchange(process.control)
    process.kill()
    ((_, gone),) = actuator.keep(7, 1000)
    assert isinstance(gone, AbsenceError)
    assert gone.kind == pb.ABSENCE_TYPE_SCRAPE_FAILED
    process.start()
    after = exchange(process.control)
    assert after.setting == Setting()
    assert after.start_time_seconds > before.start_time_seconds, "the reset can be seen"
    assert shown_bp(actuator, 7, 1000) == 1000
    assert exchange(process.control).setting == Setting(7, 0, 1000)


def test_a_controller_whose_lease_is_over_changes_nothing(process: HaproxyProcess, actuator: Haproxy) -> None:
    shown_bp(actuator, 5, 1000)
    with pytest.raises(StaleEpochError, match="epoch 5"):
        actuator.keep(4, 0)
    assert exchange(process.control).setting == Setting(5, 0, 1000)


@pytest.mark.parametrize("fenced", [True, False], ids=["fenced", "twin without the fence"])
def test_a_write_that_slept_between_its_look_and_its_ticket_is_refused(
    spec: RolloutSpec, tmp_path: Path, fenced: bool
) -> None:
    """The old holder read epoch 4, slept past its lease, and writes now: only HAProxy itself can know better."""
    with haproxy(spec, tmp_path, lambda text: text if fenced else text.replace(",iflt)", ")")) as running:
        exchange(running.control, Setting(4, 0, 500).ticket)
        late = Setting(4, 1, 10_000)
        exchange(running.control, Setting(5, 0, 0).ticket)
        exchange(running.control, late.ticket)
        assert exchange(running.control).setting == (Setting(5, 0, 0) if fenced else late)


def test_a_router_that_lies_is_seen_in_what_is_read_back(spec: RolloutSpec, tmp_path: Path) -> None:
    """It takes the ticket and does as it likes: 30 %, whatever it is told."""
    lie = Setting(1, 0, 3000).ticket
    with haproxy(spec, tmp_path, lambda text: text.replace('"ticket=%[var(proc.covey_ticket_echo)]', f'"ticket={lie}')):
        actuator = Haproxy(spec)
        try:
            assert shown_bp(actuator, 1, 1000) == 3000
        finally:
            actuator.close()


@pytest.mark.parametrize(
    "change",
    [{"target": "other"}, {"candidate": "127.0.0.1:9"}, {"traffic": {"haproxy": {"header": "x-user"}}}],
    ids=lambda change: next(iter(change)),
)
def test_a_router_that_was_configured_for_something_else_is_left_alone(
    process: HaproxyProcess, spec: RolloutSpec, change: dict[str, Any]
) -> None:
    """Such as one that nobody configured anew for the next rollout: 0 there would be the baseline before the last."""
    other = RolloutSpec()
    other.CopyFrom(spec)
    other.MergeFrom(RolloutSpec(**change))
    actuator = Haproxy(other)
    try:
        ((_, absence),) = actuator.keep(1, 1000)
    finally:
        actuator.close()
    assert isinstance(absence, AbsenceError)
    assert "covey router haproxy" in absence.detail
    assert exchange(process.control).setting == Setting()


def test_what_is_no_control_socket_is_an_absence(echos: tuple[Echo, Echo], spec: RolloutSpec) -> None:
    page = echos[0].metrics_url.removeprefix("http://").removesuffix("/metrics")
    spec.traffic.haproxy.routers[:] = [page, "127.0.0.1:1"]
    actuator = Haproxy(spec)
    try:
        readings = actuator.keep(1, 0)
    finally:
        actuator.close()
    assert all(isinstance(reading, AbsenceError) for _, reading in readings)
    assert "no control socket" in str(readings[0][1])


def test_nonsense_at_the_control_socket_changes_nothing(process: HaproxyProcess, actuator: Haproxy) -> None:
    shown_bp(actuator, 3, 200)
    for ticket in ("", "x", "-5", "99999999999999999999999", "1.5"):
        exchange(process.control, ticket)  # type: ignore[arg-type]
    assert exchange(process.control).setting.weight_bp == 200


def test_a_configuration_is_of_the_plan_and_of_one_of_its_routers(spec: RolloutSpec) -> None:
    with pytest.raises(ValueError, match="none of the plan's routers"):
        haproxy_config(spec, listen="127.0.0.1:1", router="unix:/elsewhere")
    text = haproxy_config(spec, listen="127.0.0.1:1", router=spec.traffic.haproxy.routers[0])
    assert spec.candidate in text
