"""Verdicts in the words of an operator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from covey.rollout.counts import LIMIT_TOLERANCE
from covey.rollout.statement import Kind, Statement
from covey.rollout.units import format_duration, seconds_of
from covey.rollout.weighing import relative_counts
from covey.v1.evidence_pb2 import Verdict
from covey.v1.rollouts_pb2 import Incident

if TYPE_CHECKING:
    from covey.rollout.model import RolloutState
    from covey.rollout.questions import Question

NOT_ENOUGH = "not enough evidence"


def percent(share: float) -> str:
    """A share in percent with three significant digits: "0.0731 %", "-3 %"."""
    return f"{share * 100:.3g} %"


def counts_sentence(state: RolloutState, question: Question, verdict: Verdict, needed: int | None) -> str:
    """What the counters are and what they show.

    Args:
        state: for the threshold that latencies were compared at.
        question: what was asked.
        verdict: the result, with interval and ETA.
        needed: further trials to PASS; None where it is not to be had at this rate of events.
    """
    relative = question.statement.kind is Kind.RELATIVE_LATENCY
    text = f"{question.statement.text}: {_slower(state, question, verdict) if relative else _counters(question)}"
    if verdict.shed_count:
        text = f"{question.statement.text}: {_refused(state, question, verdict.shed_count)}"
    if question.statement.kind is Kind.LATENCY:
        text += _edge(state, question.statement.limit, is_trigger=question.is_trigger)
    if verdict.baseline_trial_count:
        text += f", of the baseline's {verdict.baseline_event_count:,} of {verdict.baseline_trial_count:,}"
    if question.is_trigger:
        return f"{text}; {_TRIGGER[verdict.result]}"
    if verdict.result == Verdict.RESULT_PASS:
        return f"{text}; shown, at most {_proven(question.statement, verdict)} with {_confidence(verdict)}"
    if verdict.result == Verdict.RESULT_FAIL:
        return f"{text}; refuted, {percent(question.events / question.trials)} is beyond the limit"
    return f"{text}; {NOT_ENOUGH}, {_missing(question, verdict, needed)}"


_TRIGGER = {
    Verdict.RESULT_PASS: "excluded",
    Verdict.RESULT_FAIL: "shown, the candidate does harm",
    Verdict.RESULT_INSUFFICIENT: "not shown",
    Verdict.RESULT_INVALID: "cannot be judged",
}


def _counters(question: Question) -> str:
    kind = question.statement.kind
    events, trials = f"{question.events:,}", f"{question.trials:,}"
    if kind is Kind.MISMATCH:
        return f"{events} of {trials} answers computed twice differed or failed"
    subject = (
        "candidate requests and probes" if kind is Kind.AVAILABILITY and question.is_trigger else "candidate requests"
    )
    if kind is Kind.LATENCY:
        limit = question.statement.limit
        return f"{events} of {trials} {subject} were slower than {_time(limit)}"
    return f"{events} of {trials} {subject} failed"


def _refused(state: RolloutState, question: Question, shed: int) -> str:
    """What the comparison counts where requests were refused for overload: failures to it, and to no limit."""
    events, trials = relative_counts(state, question)[0]
    if events == shed == trials and not question.events:
        return f"{shed:,} of {trials:,} candidate requests were refused for overload"
    together = f"that is {events:,} of {trials:,} to compare"
    return f"{_counters(question)} and {shed:,} more were refused for overload, {together}"


def _edge(state: RolloutState, limit: float, *, is_trigger: bool) -> str:
    """At which edge of a histogram a limit was counted, where it was; empty where it was counted itself.

    Processes may have different grids: the edge farthest on the safe side speaks for all.
    """
    edges = [
        over.edge_seconds
        for reading in state.last_readings.values()
        for counters in reading.variants
        if counters.variant == state.spec.candidate
        for over in counters.over_limits
        if over.edge_seconds and abs(over.limit_seconds - limit) <= LIMIT_TOLERANCE
    ]
    if not edges:
        return ""
    edge = max(edges) if is_trigger else min(edges)
    side = "above" if is_trigger else "below"
    return f" (counted at {_time(edge)}, the histogram's edge next {side} the limit)" if edge != limit else ""


def _time(seconds: float) -> str:
    return f"{seconds * 1000:g} ms" if seconds < 1 else f"{seconds:g} s"


def _slower(state: RolloutState, question: Question, verdict: Verdict) -> str:
    """How many requests exceeded the baseline's own quantile."""
    number = state.plan.gates.metrics.slower_shares.index(question.statement.event_limit)
    threshold = state.gates.thresholds[number]
    if threshold is None:
        return "the baseline's durations are not known yet"
    slower = f"{threshold * 1000:.3g} ms" if threshold < 1 else f"{threshold:.3g} s"
    counts = f"{verdict.event_count:,} of {verdict.trial_count:,}"
    return f"{counts} candidate requests were slower than {slower}, the edge above the baseline's own"


def _proven(statement: Statement, verdict: Verdict) -> str:
    """The bad end of the interval."""
    if statement.kind is Kind.RELATIVE_LATENCY:
        return f"{verdict.upper:.3g} times as often"
    return percent(_worst(statement, verdict))


def _missing(question: Question, verdict: Verdict, needed: int | None) -> str:
    if needed == 0:
        last = question.last_events / question.last_trials if question.last_trials else None
        if last is None:
            return "there was no traffic in the last quarter of the phase"
        return f"the last quarter of the phase, at {percent(last)}, is beyond the limit though the whole is not"
    if needed is None:
        return _never(question, verdict)
    if not verdict.trial_count:
        return f"needs {needed:,}, and none have come"
    if not verdict.HasField("needed_count"):
        return f"needs {needed:,} more, which do not come within max_hold at the current rate"
    return f"needs {needed:,} more, about {format_duration(seconds_of(verdict.eta))} at the current rate"


def _never(question: Question, verdict: Verdict) -> str:
    """Why more of the same would not do."""
    unshown = [test for test in verdict.tests if not test.shown]
    if not verdict.trial_count:
        return "and nothing has come that could be compared"
    if any(test.name.startswith("rate_ratio") for test in unshown) and not (
        question.statement.counts_events and not unshown[0].name.startswith("rate_ratio")
    ):
        times = next(test for test in unshown if test.name.startswith("rate_ratio"))
        if not times.HasField("estimate"):
            return f"and without a failure of the baseline {times.null_value:g} times its rate cannot be excluded"
        return f"and at {times.estimate:.3g} times the baseline's rate, {times.null_value:g} times will not be excluded"
    return f"and at this rate of {percent(question.events / question.trials)} there never will be"


def _worst(statement: Statement, verdict: Verdict) -> float:
    """The bad end of the interval as a share of bad events."""
    return 1 - verdict.lower if statement.kind is Kind.AVAILABILITY else verdict.upper


def _confidence(verdict: Verdict) -> str:
    return f"{(1 - verdict.alpha) * 100:g} % confidence at every look"


def incidents_sentence(statement: Statement, critical: Sequence[Incident]) -> str:
    """Which critical incidents are open."""
    if not critical:
        return f"{statement.text}: no critical incident is open"
    named = "; ".join(f"{incident.incident_id} ({incident.description})" for incident in critical)
    return f"{statement.text}: {len(critical)} open: {named}"


def literal_sentence(seconds: float) -> str:
    """What is added where the literal rule holds."""
    return f"; the literal rule holds: the estimate has stood beyond the limit for {format_duration(seconds)}"
