"""A controller's decision made again on the look that it shows: what the server does before it records one.

Whoever holds the lease may be mistaken or hijacked. It can lie about what it read; it cannot skip a signature, a
holding time or a calendar, because these follow from the journal and the look.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from covey.rollout.decide import draft_decision
from covey.rollout.evidence import Evidence
from covey.rollout.model import RolloutState
from covey.rollout.units import format_share, seconds_of, time_of, timestamp_of
from covey.rollout.words import state_word
from covey.v1.journal_pb2 import Entry, Tick

# A controller's wall clock is believed within this of the server's: calendars are asked by it.
CLOCK_TOLERANCE = timedelta(seconds=60)
# What a decision says beside its substance. The server writes its own, which are those of its own decide().
_WORDING = ("verdicts", "explanation", "read_back", "overridden_calendar", "calendar_open_time")


class DecisionRefused(ValueError):  # noqa: N818 - as CommandRefused
    """A decision that does not follow from its look.

    Attributes:
        reason_code: the same for programs: "NOT_ONE_LOOK", "DECISION_DIFFERS" or "ILLEGAL_STATE".
    """

    def __init__(self, message: str, reason_code: str) -> None:
        self.reason_code = reason_code
        super().__init__(message)


def judged_again(state: RolloutState, entries: Sequence[Entry], now: datetime) -> list[Entry]:
    """What decide() says on the look that a decision begins with; to be recorded in the decision's place.

    Args:
        state: the fold of the journal so far.
        entries: a tick, then what the controller says follows from it.
        now: the server's time. A look that claims to be of another time is taken for one of now.

    Raises:
        DecisionRefused: they do not begin with one tick, or say something else than decide() does.
    """
    if not entries or [entry.HasField("tick") for entry in entries] != [True] + [False] * (len(entries) - 1):
        raise DecisionRefused("a decision begins with its look: one tick, then what follows from it", "NOT_ONE_LOOK")
    tick, skew = at_servers_time(entries[0].tick, now)
    made = draft_decision(state.spec, state, Evidence.from_tick(tick), now).entries
    if not made:
        raise DecisionRefused(f"nothing is decided while the rollout is {state_word(state.state)}", "ILLEGAL_STATE")
    for place in range(1, max(len(made), len(entries))):
        said = described(entries[place]) if place < len(entries) else "nothing more"
        follows = described(made[place]) if place < len(made) else "nothing more"
        if place >= min(len(made), len(entries)) or substance(entries[place]) != substance(made[place]):
            clock = f". The controller's clock is {skew:.0f} s off the server's; set it" if skew else ""
            raise DecisionRefused(
                f"entry {place + 1} of the decision says {said}; on the same look and journal the server's own "
                f"decide() says {follows}{clock}",
                "DECISION_DIFFERS",
            )
    return made


def at_servers_time(tick: Tick, now: datetime) -> tuple[Tick, float]:
    """The look with a time that can be true, and by how many seconds it was off where it could not."""
    skew = time_of(tick.observed_at) - now
    if abs(skew) <= CLOCK_TOLERANCE:
        return tick, 0.0
    corrected = Tick()
    corrected.CopyFrom(tick)
    corrected.observed_at.CopyFrom(timestamp_of(now))
    return corrected, skew.total_seconds()


def substance(entry: Entry) -> bytes:
    """What an entry does to the rollout, without wording and stamps, as bytes to compare."""
    kind = entry.WhichOneof("payload")
    bare = Entry()
    if kind is not None:
        payload = getattr(bare, kind)
        payload.CopyFrom(getattr(entry, kind))
        payload.SetInParent()
        for name in _WORDING:
            if name in payload.DESCRIPTOR.fields_by_name:
                payload.ClearField(name)
    return bare.SerializeToString(deterministic=True)


def described(entry: Entry) -> str:
    """An entry in a few words, such as "phase_entered 'ramp' at 10 %"."""
    kind = entry.WhichOneof("payload") or "nothing"
    payload = getattr(entry, kind, None)
    text = str(kind)
    if phase := getattr(payload, "phase", ""):
        text += f" '{phase}'"
    if kind == "phase_entered":
        text += f" at {format_share(entry.phase_entered.candidate_weight_bp / 10_000)}"
    elif kind == "approval_awaited":
        text += f" (missing: {', '.join(entry.approval_awaited.missing_roles)})"
    elif kind == "checkpoint":
        text += f" at {seconds_of(entry.checkpoint.offset):g} s"
    elif kind == "finished":
        text += f" {type(entry.finished).Outcome.Name(entry.finished.outcome)}"
    explanation = getattr(payload, "explanation", "")
    return f"{text} ({explanation})" if explanation else text
