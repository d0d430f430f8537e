"""What the server itself writes into every entry: its place, its time, its author."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from covey import __version__
from covey.rollout.model import EFFECTIVE_AFTER
from covey.v1.journal_pb2 import Entry, RolloutFinished

if TYPE_CHECKING:
    from covey.rollout.state import RolloutState

SCHEMA_VERSION = 1
"""Of the entries that this code writes."""
SERVER_ACTOR = "server"


@dataclass(frozen=True, slots=True)
class Author:
    """Who writes entries, and on whose authority.

    Attributes:
        actor: a person, a controller, or "server".
        request_id: of the call that writes.
        epoch: of the lease; None for operators and the server itself, who need none.
        is_verified: whether the actor's identity was proven.
        reason: in the actor's words; kept where an entry has none of its own.
    """

    actor: str
    request_id: str = ""
    epoch: int | None = None
    is_verified: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """What a mutation wrote.

    Attributes:
        state: folded up to the last of `entries`.
        entries: as they are in the journal.
    """

    state: RolloutState
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry comes to stand.

    Attributes:
        sequence: 1, 2, 3 ...
        previous_digest: of the chain up to the entry before (`covey.rollout.chain`).
        spec_digest: of the rollout's spec.
    """

    sequence: int
    previous_digest: bytes
    spec_digest: str


def stamped(entry: Entry, place: Place, now: datetime, author: Author) -> Entry:
    """A copy of an entry with everything that the server sets.

    A weight takes effect a second after its commit, weight 0 at the moment of its commit.
    """
    copy = Entry()
    copy.CopyFrom(entry)
    copy.sequence = place.sequence
    copy.previous_digest = place.previous_digest
    # Ticks are most of a journal, and decide nothing.
    copy.spec_digest = "" if entry.HasField("tick") else place.spec_digest
    copy.time.FromDatetime(now)
    copy.ClearField("effective_at")
    if entry.HasField("phase_entered"):
        gains_weight = entry.phase_entered.candidate_weight_bp > 0
        copy.effective_at.FromDatetime(now + EFFECTIVE_AFTER if gains_weight else now)
    elif entry.HasField("rollback_started") or entry.HasField("finished"):
        copy.effective_at.FromDatetime(now)
    copy.schema_version = SCHEMA_VERSION
    copy.epoch = author.epoch or 0
    copy.actor = author.actor
    copy.actor_verified = author.is_verified
    copy.request_id = author.request_id
    copy.reason = entry.reason or author.reason
    copy.version = __version__
    return copy


def makes_stable(entry: Entry) -> bool:
    """Whether the candidate becomes the stable variant with this entry."""
    return entry.HasField("finished") and entry.finished.outcome == RolloutFinished.OUTCOME_SUCCEEDED
