"""What a transition says, whom it calls, and its line in the log."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from covey.rollout.kinds import QUIET_KINDS
from covey.v1 import journal_pb2, rollout_spec_pb2

_log = logging.getLogger("covey_controller")
_PAGING = frozenset({"held", "escalated", "rollback_started", "incident_reported"})


def describe(entry: journal_pb2.Entry) -> str:
    """One sentence for a transition."""
    kind = entry.WhichOneof("payload") or "entry"
    payload = getattr(entry, kind, None)
    phase = getattr(payload, "phase", "")
    words = [kind.replace("_", " "), f"phase {phase}" if phase else ""]
    if kind == "phase_entered":
        words.append(f"candidate at {entry.phase_entered.candidate_weight_bp / 100:g} %")
    if kind == "escalated":
        words.append(f"nobody acknowledged the hold, {entry.escalated.on_call} is called")
    if kind == "approval_awaited":
        words.append(f"missing: {', '.join(entry.approval_awaited.missing_roles)}")
    if kind == "finished":
        name = journal_pb2.RolloutFinished.Outcome.Name(entry.finished.outcome)
        words.append(name.removeprefix("OUTCOME_"))
    words.append(getattr(payload, "explanation", ""))
    words.append(entry.reason)
    return ": ".join(word for word in words if word)


def is_page(entry: journal_pb2.Entry) -> bool:
    """Whether somebody must come. A phase that only waits for its calendar needs nobody."""
    kind = entry.WhichOneof("payload")
    return kind in _PAGING and not (kind == "held" and entry.held.HasField("calendar_open_time"))


def called(entry: journal_pb2.Entry, on_call: rollout_spec_pb2.OnCall) -> list[str]:
    """Who must come: the primary, or whom an escalation names; nobody where nobody must."""
    if not is_page(entry):
        return []
    name = entry.escalated.on_call if entry.HasField("escalated") else on_call.primary
    return [name] if name else []


class Notifier:
    """Logs transitions, each once while this process runs; what must arrive goes through the outbox.

    A page is logged at level ERROR with whom it calls.
    """

    def __init__(self) -> None:
        self._told: dict[str, int] = {}

    def past(self, rollout: str, sequence: int) -> None:
        """Entries up to this one are known; they are not told again by a controller that starts."""
        self._told[rollout] = max(sequence, self._told.get(rollout, 0))

    def tell(self, rollout: str, entries: Iterable[journal_pb2.Entry], on_call: rollout_spec_pb2.OnCall) -> None:
        """Tells the transitions among new entries."""
        for entry in entries:
            if entry.sequence <= self._told.get(rollout, 0):
                continue
            self._told[rollout] = entry.sequence
            kind = entry.WhichOneof("payload") or "entry"
            if kind in QUIET_KINDS:
                continue
            page = is_page(entry)
            fields: dict[str, object] = {
                "rollout": rollout,
                "sequence": entry.sequence,
                "event": kind,
                "actor": entry.actor,
                "page": page,
            }
            if page:
                fields["on_call"] = called(entry, on_call)
            _log.log(logging.ERROR if page else logging.INFO, describe(entry), extra=fields)
