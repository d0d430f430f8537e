"""The answer at the top of a page: what is happening, why, and what to press; read in five seconds, at 3 a.m."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from covey.report import advice, words
from covey.v1.evidence_pb2 import Verdict
from covey.v1.rollouts_pb2 import Rollout
from covey_dashboard.verbs import variant

_TONES: dict[Rollout.State.ValueType, str] = {
    Rollout.STATE_DRAFT: "calm",
    Rollout.STATE_SCHEDULED: "calm",
    Rollout.STATE_AWAITING_APPROVAL: "wait",
    Rollout.STATE_RUNNING: "good",
    Rollout.STATE_HOLDING: "wait",
    Rollout.STATE_SOAKING: "good",
    Rollout.STATE_SUCCEEDED: "good",
    Rollout.STATE_ROLLING_BACK: "bad",
    Rollout.STATE_ROLLED_BACK: "bad",
    Rollout.STATE_ABORTED: "bad",
}


@dataclass(frozen=True)
class Answer:
    """What stands at the top.

    Attributes:
        tone: "calm", "good", "wait" or "bad": the colour, which the words say too.
        state: such as "HOLDING".
        what: what is happening, in one sentence.
        why: in one sentence; may be empty.
        press: what to do, in one sentence.
        command: to type where there is no button for it; may be empty.
        verb: the button that does it; empty where none does.
        share_text: of learners with the candidate.
        elapsed_text: of the phase's time; empty outside of phases.
        elapsed_part: 0 to 1.
        forecast: when it goes on by itself, where it does.
        last_look: when the controller looked last; None: never.
        is_silent: no controller has looked for too long.
    """

    tone: str
    state: str
    what: str
    why: str
    press: str
    command: str
    verb: str
    share_text: str
    elapsed_text: str
    elapsed_part: float
    forecast: str
    last_look: datetime | None
    is_silent: bool


def answer(rollout: Rollout, now: datetime) -> Answer:
    """The answer about a rollout at an instant."""
    step = advice.what_next(rollout, now)
    silence = advice.silent_for(rollout, now)
    elapsed, hold = _seconds(rollout)
    return Answer(
        tone=_tone(rollout, silence),
        state=words.state(rollout.state),
        what=_what(rollout),
        why=_why(rollout, silence),
        press=_sentence(step.sentence),
        # Where a button does it, the button says it.
        command="" if step.verb else step.command,
        verb=step.verb,
        share_text=words.share(_share_bp(rollout)),
        elapsed_text=f"{words.span(elapsed)} of {words.span(hold)}" if _is_in_phase(rollout) else "",
        elapsed_part=min(elapsed / hold, 1.0) if hold > 0 else 0.0,
        forecast=forecast(rollout),
        last_look=rollout.last_tick_time.ToDatetime(UTC) if rollout.HasField("last_tick_time") else None,
        is_silent=silence is not None,
    )


def forecast(rollout: Rollout) -> str:
    """When the phase can end by itself, if all goes on like this; empty where it does not advance by itself."""
    goes_on = {Rollout.STATE_RUNNING, Rollout.STATE_SOAKING, Rollout.STATE_HOLDING}
    if rollout.state not in goes_on or rollout.paused:
        return ""
    elapsed, hold = _seconds(rollout)
    longest = max(hold - elapsed, 0.0)
    for verdict in rollout.verdicts:
        if verdict.role != Verdict.ROLE_CRITERION or verdict.report_only:
            continue
        if verdict.result == Verdict.RESULT_INSUFFICIENT:
            if not verdict.HasField("needed_count"):
                return f"{verdict.statement} cannot be shown at this rate"
            longest = max(longest, verdict.eta.ToTimedelta().total_seconds())
        elif verdict.result != Verdict.RESULT_PASS:
            return f"not before {verdict.statement} is proven"
    return f"in about {words.about(longest)} if all goes on like this" if longest > 0 else "with the next look"


def _tone(rollout: Rollout, silence: timedelta | None) -> str:
    if silence is not None or any(incident.critical for incident in rollout.open_incidents):
        return "bad"
    if rollout.paused and rollout.state not in advice.TERMINAL:
        return "wait"
    return _TONES.get(rollout.state, "calm")


def _what(rollout: Rollout) -> str:
    candidate, baseline = variant(rollout.spec.candidate), variant(rollout.spec.baseline)
    share, phase = words.share(rollout.candidate_weight_bp), rollout.phase
    with_candidate = f"{share} of learners get {candidate}"
    if rollout.spec.dry_run and rollout.state not in advice.TERMINAL:
        with_candidate = f"A dry run: nobody gets {candidate}, whatever phase {phase} says"
    told = {
        Rollout.STATE_DRAFT: f"Not started: everybody gets {baseline}.",
        Rollout.STATE_SCHEDULED: f"Started, before its first phase: everybody gets {baseline}.",
        Rollout.STATE_AWAITING_APPROVAL: f"Waiting for people. {_now(rollout, candidate, baseline)}",
        Rollout.STATE_RUNNING: f"{with_candidate}, in phase {phase}.",
        Rollout.STATE_HOLDING: f"Phase {phase} does not advance. {_now(rollout, candidate, baseline)}",
        Rollout.STATE_SOAKING: f"{with_candidate}, in the last watch.",
        Rollout.STATE_ROLLING_BACK: f"{candidate} is being taken back. Everybody gets {baseline}.",
        Rollout.STATE_ROLLED_BACK: f"{candidate} was taken back. Everybody gets {baseline}.",
        Rollout.STATE_ABORTED: f"Stopped by hand. Everybody gets {baseline}.",
        Rollout.STATE_SUCCEEDED: f"Done: everybody gets {candidate}.",
    }.get(rollout.state, "A state that this version does not know.")
    if rollout.state == Rollout.STATE_SUCCEEDED and rollout.spec.dry_run:
        told = f"A dry run that passed every phase. Everybody gets {baseline}."
    return f"Paused. {told}" if rollout.paused and rollout.state not in advice.TERMINAL else told


def _now(rollout: Rollout, candidate: str, baseline: str) -> str:
    if not rollout.candidate_weight_bp:
        return f"Everybody gets {baseline}."
    return f"{words.share(rollout.candidate_weight_bp)} of learners get {candidate}."


def _why(rollout: Rollout, silence: timedelta | None) -> str:
    if silence is not None:
        return (
            f"No controller looks at it: what is below is as old as its last look. Before that: {rollout.explanation}."
        )
    if rollout.state == Rollout.STATE_RUNNING and not rollout.paused:
        failed = [verdict for verdict in rollout.verdicts if verdict.result == Verdict.RESULT_INVALID]
        if failed:
            return _sentence(failed[0].sentence)
    return _sentence(rollout.explanation)


def _sentence(text: str) -> str:
    text = text.strip().rstrip(".")
    # Names of metrics, such as error_rate, stay as they are written.
    begin = text[:1].upper() if text.split(" ", 1)[0].rstrip(":;,").isalpha() else text[:1]
    return f"{begin}{text[1:]}." if text else ""


def _share_bp(rollout: Rollout) -> int:
    if rollout.state == Rollout.STATE_SUCCEEDED and not rollout.spec.dry_run:
        return 10_000
    return rollout.candidate_weight_bp


def _is_in_phase(rollout: Rollout) -> bool:
    return rollout.HasField("phase_hold") and rollout.state not in advice.TERMINAL | {Rollout.STATE_ROLLING_BACK}


def _seconds(rollout: Rollout) -> tuple[float, float]:
    return rollout.phase_elapsed.ToTimedelta().total_seconds(), rollout.phase_hold.ToTimedelta().total_seconds()
