"""Journal entries as sentences: what happened, by whom and why. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from covey.report import words
from covey.v1 import evidence_pb2, journal_pb2


class Event(NamedTuple):
    """One entry, told.

    Attributes:
        sequence: of the journal.
        time: of the commit, to the second, UTC.
        kind: the payload's field name, such as "phase_entered".
        text: what happened, in one sentence without a full stop.
        actor: who wrote it, by their own word unless the entry says `actor_verified`.
        reason: in the actor's words; may be empty.
    """

    sequence: int
    time: str
    kind: str
    text: str
    actor: str
    reason: str


def tell(entries: Iterable[journal_pb2.Entry], *, ticks: bool = False) -> list[Event]:
    """The story of a journal, one event per entry; ticks only on request."""
    return [event(entry) for entry in entries if ticks or entry.WhichOneof("payload") != "tick"]


def event(entry: journal_pb2.Entry) -> Event:
    """One entry as an event."""
    kind = entry.WhichOneof("payload") or "unknown"
    return Event(entry.sequence, words.instant(entry.time), kind, _text(entry, kind), actor(entry), entry.reason)


def actor(entry: journal_pb2.Entry) -> str:
    """Who wrote the entry, with the epoch of a controller's lease."""
    name = entry.actor or "unknown"
    if entry.epoch:
        return f"{name}, epoch {entry.epoch}"
    return name


def cause(value: journal_pb2.RollbackStarted.Cause.ValueType) -> str:
    """Why a rollback started, in words."""
    name = journal_pb2.RollbackStarted.Cause.Name(value).removeprefix("CAUSE_").lower().replace("_", " ")
    return {
        "trigger": "a trigger was shown",
        "abort": "aborted by an operator",
        "max hold": "HOLDING for longer than the plan allows",
        "unavailable": "the candidate answered no probe",
        "incident": "a critical incident",
        "crash loop": "the server crashed repeatedly while the candidate had traffic",
        "criterion": "a criterion was refuted",
        "denied": "approval was denied",
        "router": "the router did not show the share of the journal",
    }.get(name, name)


def outcome(value: journal_pb2.RolloutFinished.Outcome.ValueType) -> str:
    """ROLLED BACK from OUTCOME_ROLLED_BACK."""
    return journal_pb2.RolloutFinished.Outcome.Name(value).removeprefix("OUTCOME_").replace("_", " ")


def tally(verdicts: Iterable[evidence_pb2.Verdict]) -> str:
    """How the criteria stood: "3 PASS, 1 INSUFFICIENT"; empty without any."""
    criteria = [verdict for verdict in verdicts if verdict.role == evidence_pb2.Verdict.ROLE_CRITERION]
    found = [words.result(verdict) for verdict in criteria]
    return ", ".join(f"{found.count(word)} {word}" for word in dict.fromkeys(found))


def _text(entry: journal_pb2.Entry, kind: str) -> str:
    tell_kind = _TELLERS.get(kind)
    return tell_kind(entry) if tell_kind else f"an entry that this version does not know ({kind})"


def _with_tally(text: str, verdicts: Iterable[evidence_pb2.Verdict]) -> str:
    standing = tally(verdicts)
    return f"{text} ({standing})" if standing else text


def _created(entry: journal_pb2.Entry) -> str:
    spec = entry.created.spec
    return f"created: {spec.candidate} over {spec.baseline} in {len(spec.phases)} phases"


def _awaited(entry: journal_pb2.Entry) -> str:
    awaited = entry.approval_awaited
    return f"phase {awaited.phase} waits for approval by {', '.join(awaited.missing_roles) or 'nobody'}"


def _entered(entry: journal_pb2.Entry) -> str:
    entered = entry.phase_entered
    text = f"phase {entered.phase} begins: {words.share(entered.candidate_weight_bp)} of learners to the candidate"
    if entered.overridden_calendar:
        text += f", overriding {entered.overridden_calendar}"
    return _with_tally(text, entered.verdicts)


def _tick(entry: journal_pb2.Entry) -> str:
    tick = entry.tick
    text = f"a look at {len(tick.readings)} replica(s), {words.duration(tick.observed)} observed"
    return text + (f", {len(tick.absences)} metric(s) absent" if tick.absences else "")


def _checkpoint(entry: journal_pb2.Entry) -> str:
    checkpoint = entry.checkpoint
    text = f"checkpoint at {words.duration(checkpoint.offset)} of phase {checkpoint.phase}"
    return _with_tally(text, checkpoint.verdicts)


def _held(entry: journal_pb2.Entry) -> str:
    return f"phase {entry.held.phase} holds: {entry.held.explanation.rstrip('.')}"


def _promoted(entry: journal_pb2.Entry) -> str:
    overridden = [verdict.statement for verdict in entry.promoted.overridden_verdicts]
    text = f"phase {entry.promoted.phase} promoted by hand"
    return f"{text}, overriding {', '.join(overridden)}" if overridden else text


def _postponed(entry: journal_pb2.Entry) -> str:
    return f"phase {entry.postponed.phase} postponed to {words.instant(entry.postponed.not_before)}"


def _approved(entry: journal_pb2.Entry) -> str:
    approved = entry.approved
    what = f"the open question {approved.statement!r}" if approved.statement else f"phase {approved.phase}"
    if approved.overrides_calendar:
        return f"{approved.role} lets phase {approved.phase} begin in spite of the calendar"
    return f"{approved.role} approves {what}"


def _rollback(entry: journal_pb2.Entry) -> str:
    started = entry.rollback_started
    explanation = started.explanation.rstrip(".") or cause(started.cause)
    return f"rollback, the candidate's share is 0 at once: {explanation}"


def _finished(entry: journal_pb2.Entry) -> str:
    finished = entry.finished
    text = f"ended: {outcome(finished.outcome)}"
    if finished.read_back:
        weights = ", ".join(
            f"{words.share(reading.candidate_weight_bp)} on {reading.replica}" for reading in finished.read_back
        )
        text += f"; share read back as {weights}"
    return text


def _incident(entry: journal_pb2.Entry) -> str:
    incident = entry.incident_reported
    kind = "critical incident" if incident.critical else "incident"
    return f"{kind} {incident.incident_id} reported: {incident.description.rstrip('.')}"


_TELLERS: Mapping[str, Callable[[journal_pb2.Entry], str]] = {
    "created": _created,
    "started": lambda entry: "started",
    "approval_awaited": _awaited,
    "phase_entered": _entered,
    "tick": _tick,
    "checkpoint": _checkpoint,
    "held": _held,
    "released": lambda entry: f"phase {entry.released.phase} goes on",
    "paused": lambda entry: "paused; triggers go on",
    "resumed": lambda entry: "resumed",
    "promoted": _promoted,
    "postponed": _postponed,
    "approved": _approved,
    "denied": lambda entry: f"{entry.denied.role} denies phase {entry.denied.phase}",
    "revoked": lambda entry: f"{entry.revoked.role} takes back the approval of phase {entry.revoked.phase}",
    "rollback_started": _rollback,
    "finished": _finished,
    "incident_reported": _incident,
    "incident_resolved": lambda entry: f"incident {entry.incident_resolved.incident_id} resolved",
    "acknowledged": lambda entry: f"the hold of phase {entry.acknowledged.phase} is acknowledged",
    "escalated": lambda entry: (
        f"nobody acknowledged the hold of phase {entry.escalated.phase}: {entry.escalated.on_call} is called"
    ),
    "segment_excluded": lambda entry: (
        f"segment {entry.segment_excluded.segment} goes back to the baseline: {entry.segment_excluded.explanation}"
    ),
}
