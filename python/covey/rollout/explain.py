"""A rollout in sentences: where it is and why, then every verdict."""

from __future__ import annotations

from covey.rollout.units import format_duration, format_share, seconds_of
from covey.rollout.words import state_word
from covey.v1.evidence_pb2 import Verdict
from covey.v1.rollouts_pb2 import Rollout


def explain(rollout: Rollout) -> list[str]:
    """One sentence for the state, then one per verdict: criteria of the phase in force, then triggers."""
    return [_state_sentence(rollout), *(_verdict_sentence(verdict) for verdict in rollout.verdicts)]


def _state_sentence(rollout: Rollout) -> str:
    text = f"{rollout.name} is {state_word(rollout.state)}"
    if rollout.phase:
        text += f" in phase '{rollout.phase}'"
        text += f" with {format_share(rollout.candidate_weight_bp / 10_000)} of the learners"
    if rollout.HasField("phase_hold"):
        elapsed, hold = seconds_of(rollout.phase_elapsed), seconds_of(rollout.phase_hold)
        text += f", {format_duration(elapsed)} of {format_duration(hold)} observed"
    if rollout.excluded_segments:
        text += f", without the segments {', '.join(rollout.excluded_segments)}, which get the baseline"
    return f"{text}: {rollout.explanation}" if rollout.explanation else text


def _verdict_sentence(verdict: Verdict) -> str:
    role = "trigger" if verdict.role == Verdict.ROLE_TRIGGER else "criterion"
    result = Verdict.Result.Name(verdict.result).removeprefix("RESULT_")
    note = " (reported only)" if verdict.report_only else ""
    return f"{role} {result}{note}: {verdict.sentence or verdict.statement}"
