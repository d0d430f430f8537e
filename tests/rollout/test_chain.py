"""The chain of a journal: one flipped byte anywhere, one record gone, moved or put in, and the record is named."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from covey.rollout.chain import Record, breaks, first_digest, next_digest
from covey.v1.journal_pb2 import Entry, RolloutCreated, Tick

ROLLOUT = "rollouts/x"


def journal(count: int, rollout: str = ROLLOUT) -> list[Record]:
    """Records as a server writes them."""
    digest = first_digest(rollout)
    records = []
    for sequence in range(1, count + 1):
        entry = Entry(sequence=sequence, actor="ann", reason=f"reason {sequence}", previous_digest=digest)
        if sequence == 1:
            entry.created.CopyFrom(RolloutCreated(rollout=rollout, uid="uid"))
        else:
            entry.tick.CopyFrom(Tick())
            entry.tick.observed.seconds = sequence
        payload = entry.SerializeToString(deterministic=True)
        digest = next_digest(digest, payload)
        records.append(Record(sequence, payload, digest))
    return records


def named(records: Sequence[Record], was: Sequence[Record], rollout: str = ROLLOUT) -> list[int]:
    """Sequences that are named where `records` stand in the place of `was`."""
    return [each.sequence for each in breaks(rollout, records, len(was), was[-1].digest)]


def test_a_chain_that_was_left_alone_holds() -> None:
    records = journal(200)
    assert named(records, records) == []


def test_any_flipped_byte_of_10_000_records_names_its_record() -> None:
    """One byte of every record is flipped, in one of them as in all: a record is checked against its neighbours."""
    records = journal(10_000)
    assert named(records, records) == []
    chance = random.Random(0)
    for _ in range(3):
        changed = [flipped(each, chance.randrange(len(each.entry)), 1 << chance.randrange(8)) for each in records]
        assert named(changed, records) == [each.sequence for each in records]
    sealed = [
        flipped(each, len(each.entry) + chance.randrange(len(each.digest)), 1 << chance.randrange(8))
        if each.sequence % 3 == 0
        else each
        for each in records
    ]
    # A digest that is not the one that was written is seen at its record, and by the record after it.
    assert named(sealed, records) == [each.sequence for each in records[2:] if each.sequence % 3 != 2]


def flipped(record: Record, place: int, bit: int) -> Record:
    """The record with a bit of its entry, or of its digest behind that, flipped."""
    data = bytearray(record.entry + record.digest)
    data[place] ^= bit
    cut = len(record.entry)
    return Record(record.sequence, bytes(data[:cut]), bytes(data[cut:]))


def test_every_bit_of_a_small_journal() -> None:
    records = journal(5)
    for position, record in enumerate(records):
        for place in range(len(record.entry) + len(record.digest)):
            for power in range(8):
                changed = [*records[:position], flipped(record, place, 1 << power), *records[position + 1 :]]
                assert named(changed, records)[0] == record.sequence, (position, place, power)


@given(st.integers(1, 20), st.data())
def test_a_record_that_is_gone_is_named(count: int, data: st.DataObject) -> None:
    records = journal(count)
    gone = data.draw(st.integers(0, count - 1))
    found = named([*records[:gone], *records[gone + 1 :]], records)
    assert found[0] == gone + 1


@given(st.integers(2, 20), st.data())
def test_records_in_another_order_are_named(count: int, data: st.DataObject) -> None:
    records = journal(count)
    first = data.draw(st.integers(0, count - 2))
    swapped = list(records)
    swapped[first], swapped[first + 1] = swapped[first + 1], swapped[first]
    assert named(swapped, records)[0] == first + 1


def test_a_record_of_another_rollout_is_named() -> None:
    records, others = journal(3), journal(3, "rollouts/y")
    assert named([records[0], others[1], records[2]], records)[0] == 2
    assert named(others, others)[0] == 1


def test_a_record_that_was_sealed_again_is_named_by_the_one_after_it() -> None:
    """Who changes a record and its digest must change every later record too, and the head that was noted elsewhere."""
    records = journal(5)
    entry = Entry.FromString(records[2].entry)
    entry.reason = "another reason"
    payload = entry.SerializeToString(deterministic=True)
    digests = [next_digest(records[1].digest, payload)]
    for record in records[3:]:
        digests.append(next_digest(digests[-1], record.entry))
    sealed = [
        *records[:2],
        Record(3, payload, digests[0]),
        *(replace(record, digest=digest) for record, digest in zip(records[3:], digests[1:], strict=True)),
    ]
    assert named(sealed, sealed) == [4, 5], "entries 4 and 5 quote the digests that were there"


def test_more_than_the_row_knows_is_named() -> None:
    records = journal(5)
    assert named(records, records[:4]) == [5]


def test_a_record_that_is_no_entry_is_named() -> None:
    digest = next_digest(first_digest(ROLLOUT), b"\xff")
    found = list(breaks(ROLLOUT, [Record(1, b"\xff", digest)], 1, digest))
    assert [each.problem for each in found] == ["its bytes are no entry"]
