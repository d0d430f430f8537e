"""What decide() makes of processes behind a router: whose weight counts, and what a router that lies leads to."""

from __future__ import annotations

from datetime import timedelta

import pytest

from covey.rollout.decide import decide
from covey.rollout.evidence import Evidence
from covey.rollout.spec import load_spec
from covey.rollout.state import State
from covey.rollout.verdicts import current_verdicts
from covey.v1.evidence_pb2 import (
    ABSENCE_TYPE_SCRAPE_FAILED,
    Absence,
    OverLimitCount,
    ProbeCounts,
    ReachedProcesses,
    ReplicaReading,
    VariantCounters,
)
from covey.v1.journal_pb2 import RollbackStarted

from .foreign import foreign_plan
from .world import START, Journal

BASELINE, CANDIDATE = "127.0.0.1:7001", "127.0.0.1:7002"
ROUTER = "haproxy unix:/run/covey/haproxy.sock"


class Echo:
    """A foreign service whose router shows `shown_bp`; None: it does not answer."""

    def __init__(self, **changes: str) -> None:
        self.journal = Journal(load_spec(foreign_plan(**changes), "plan"))
        self.journal.append(decide_start(self.journal))
        self.shown_bp: int | None = 0
        self.requests = 0
        self.slow = 0
        self.edge = 0.0
        self.reached: ReachedProcesses | None = None
        self.probes: tuple[ProbeCounts, ...] = ()

    def look(self, seconds: float = 1.0) -> None:
        self.journal.now += timedelta(seconds=seconds)
        self.requests += 1000
        readings = [self._process("baseline", BASELINE), self._process("candidate", CANDIDATE)]
        absences = []
        if self.shown_bp is None:
            absences = [Absence(replica=ROUTER, type=ABSENCE_TYPE_SCRAPE_FAILED)]
        else:
            shown = ReplicaReading(replica=ROUTER, server_start_time_seconds=1, candidate_weight_bp=self.shown_bp)
            if self.reached is not None:
                shown.reached.CopyFrom(self.reached)
            readings.append(shown)
        evidence = Evidence(seconds, self.journal.now, readings=readings, probes=self.probes, absences=absences)
        spec = self.journal.state.spec
        self.journal.append(decide(spec, self.journal.state, evidence, self.journal.now), epoch=1)

    def _process(self, name: str, variant: str) -> ReplicaReading:
        counters = VariantCounters(variant=variant, request_count=self.requests)
        for limit in self.journal.state.plan.limits_seconds:
            counters.over_limits.append(
                OverLimitCount(limit_seconds=limit, request_count=self.slow, edge_seconds=self.edge)
            )
        return ReplicaReading(replica=name, server_start_time_seconds=1, behind_router=True, variants=[counters])


def decide_start(journal: Journal) -> list[object]:
    from covey.rollout import commands

    return commands.start(journal.state, START, reason="")


def in_canary(**changes: str) -> Echo:
    echo = Echo(**changes)
    echo.look()
    assert echo.journal.state.phase == "canary"
    return echo


def test_evidence_begins_when_the_router_shows_the_weight() -> None:
    echo = in_canary()
    echo.shown_bp = 0
    for _ in range(3):
        echo.look()
    assert not echo.journal.state.weight_confirmed
    assert echo.journal.state.phase_counts.requests == 0
    echo.shown_bp = 5000
    echo.look()
    assert echo.journal.state.weight_confirmed
    echo.look()
    assert echo.journal.state.phase_counts.requests == 1000


def test_a_router_that_lies_past_the_grace_is_rolled_back() -> None:
    echo = in_canary()
    echo.shown_bp = 10_000
    for _ in range(29):
        echo.look()
    assert echo.journal.state.in_phase
    echo.look()
    (cause,) = (entry.rollback_started for entry in echo.journal.entries if entry.HasField("rollback_started"))
    assert cause.cause == RollbackStarted.CAUSE_ROUTER
    assert "100 %" in cause.explanation
    assert "50 %" in cause.explanation
    assert echo.journal.state.state == State.STATE_ROLLING_BACK
    echo.look()
    assert echo.journal.state.state == State.STATE_ROLLING_BACK, "it still shows traffic"
    echo.shown_bp = 0
    echo.look()
    assert echo.journal.state.state == State.STATE_ROLLED_BACK
    (read_back,) = echo.journal.entries[-1].finished.read_back
    assert read_back.replica == ROUTER


def test_a_router_that_does_not_answer_past_the_grace_is_rolled_back_and_not_finished() -> None:
    echo = in_canary()
    echo.shown_bp = 5000
    echo.look()
    echo.shown_bp = None
    for _ in range(30):
        echo.look()
    assert echo.journal.state.state == State.STATE_ROLLING_BACK
    for _ in range(10):
        echo.look()
    assert echo.journal.state.state == State.STATE_ROLLING_BACK, "nobody has read the 0 back"


def test_a_router_that_comes_back_within_the_grace_goes_on() -> None:
    echo = in_canary()
    for _ in range(3):
        echo.shown_bp = None
        for _ in range(20):
            echo.look()
        assert "haproxy" in echo.journal.state.explanation
        echo.shown_bp = 5000
        echo.look()
    assert echo.journal.state.in_phase


def test_a_verdict_names_the_edge_that_stands_in_for_a_limit() -> None:
    echo = in_canary(criteria="p99 < 200 ms", trigger="p99 > 260 ms")
    echo.shown_bp, echo.edge = 5000, 0.15
    for _ in range(4):
        echo.look()
    sentences = [verdict.sentence for verdict in current_verdicts(echo.journal.state)]
    assert any("counted at 150 ms, the histogram's edge next below the limit" in text for text in sentences), sentences
    echo.edge = 0.2
    echo.look()
    texts = [verdict.sentence for verdict in current_verdicts(echo.journal.state) if "200 ms" in verdict.statement]
    assert texts
    assert not any("counted at" in text for text in texts), "an edge at the limit needs no remark"


def probed(variant: str, *, answered: int, unanswered: int) -> ProbeCounts:
    return ProbeCounts(replica="echo", variant=variant, answered_count=answered, unanswered_count=unanswered)


def after_a_look(reached: ReachedProcesses | None, candidate: tuple[int, int], baseline: tuple[int, int]) -> Echo:
    """In the canary, one look after the router showed its weight: probes as (answered, unanswered)."""
    echo = in_canary()
    echo.shown_bp = 5000
    echo.look()
    echo.reached = reached
    echo.probes = tuple(
        probed(variant, answered=answered, unanswered=unanswered)
        for variant, (answered, unanswered) in ((BASELINE, baseline), (CANDIDATE, candidate))
    )
    echo.look()
    return echo


def test_a_candidate_that_router_and_probes_have_lost_is_rolled_back_at_that_look() -> None:
    echo = after_a_look(ReachedProcesses(baseline_count=1), (0, 1), (1, 0))
    (cause,) = (entry.rollback_started for entry in echo.journal.entries if entry.HasField("rollback_started"))
    assert cause.cause == RollbackStarted.CAUSE_UNAVAILABLE
    assert cause.explanation == (
        f"unavailable: no router reaches {CANDIDATE} and it answers no probe; the baseline does"
    )


@pytest.mark.parametrize(
    ("reached", "candidate", "baseline"),
    [
        (ReachedProcesses(baseline_count=1, candidate_count=1), (0, 5), (5, 0)),
        (ReachedProcesses(baseline_count=1), (1, 4), (5, 0)),
        (ReachedProcesses(baseline_count=1), (0, 0), (5, 0)),
        (ReachedProcesses(), (0, 5), (5, 0)),
        (ReachedProcesses(baseline_count=1), (0, 5), (0, 5)),
        (None, (0, 5), (5, 0)),
    ],
    ids=["router reaches it", "a probe was answered", "nobody asked", "router is cut off", "prober is", "no check"],
)
def test_one_witness_is_not_enough(
    reached: ReachedProcesses | None, candidate: tuple[int, int], baseline: tuple[int, int]
) -> None:
    assert after_a_look(reached, candidate, baseline).journal.state.in_phase
