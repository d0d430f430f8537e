r"""The chain of a journal: every entry's digest covers the digest before it, so nothing is changed unseen.

    digest(0) = SHA-256(b"covey.v1.Entry\n" + name of the rollout)
    digest(n) = SHA-256(digest(n - 1) + the bytes of entry n as they are stored)

An entry also holds the digest before it, `previous_digest`: whoever quotes an entry quotes the spec and all evidence
that it was decided on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from covey.v1.journal_pb2 import Entry


@dataclass(frozen=True, slots=True)
class Record:
    """An entry as it is stored.

    Attributes:
        sequence: under which it is stored.
        entry: bytes of covey.v1.Entry.
        digest: of the chain up to and with this entry.
    """

    sequence: int
    entry: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class Break:
    """Where a chain does not hold.

    Attributes:
        sequence: of the first record that cannot be believed.
        problem: what is wrong with it.
    """

    sequence: int
    problem: str


def first_digest(rollout: str) -> bytes:
    """The digest before the first entry of a rollout: no record can be moved to another rollout."""
    return hashlib.sha256(b"covey.v1.Entry\n" + rollout.encode()).digest()


def next_digest(previous: bytes, entry: bytes) -> bytes:
    """The digest after one more entry."""
    return hashlib.sha256(previous + entry).digest()


def breaks(rollout: str, records: Iterable[Record], last_sequence: int, head: bytes) -> Iterator[Break]:
    """Every place where the chain of a rollout does not hold, in order; none where all of it can be believed.

    Costs two hashes' worth of time per record and keeps none of them.

    Args:
        rollout: its name.
        records: all of them, in order.
        last_sequence: of the last entry, kept apart from the records.
        head: digest of the last entry, kept apart from the records.
    """
    digest, sequence = first_digest(rollout), 0
    for record in records:
        sequence += 1
        if record.sequence != sequence:
            yield Break(sequence, f"is missing; record {record.sequence} is in its place")
            sequence = record.sequence
        elif problem := _problem(rollout, digest, record):
            yield Break(sequence, problem)
        digest = record.digest
    if sequence < last_sequence:
        yield Break(sequence + 1, f"is missing, as is everything up to record {last_sequence}")
    elif sequence > last_sequence or digest != head:
        yield Break(sequence, "is not the last one that the rollout's row knows")


def _problem(rollout: str, previous: bytes, record: Record) -> str:
    if next_digest(previous, record.entry) != record.digest:
        return "its bytes are not those that were written: their SHA-256 is another"
    try:
        entry = Entry.FromString(record.entry)
    except DecodeError:
        return "its bytes are no entry"
    if entry.sequence != record.sequence:
        return f"it says that it is entry {entry.sequence}"
    # Entries from before the chain hold no digest.
    if entry.previous_digest and entry.previous_digest != previous:
        return "it was written after another entry than the one before it"
    if entry.HasField("created") and entry.created.rollout != rollout:
        return f"it was written for {entry.created.rollout}"
    return ""
