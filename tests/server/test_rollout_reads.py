"""RolloutService over a real port: lists in pages, and watching."""

from __future__ import annotations

import threading

import grpc
import pytest

from covey.v1 import rollouts_pb2 as pb
from covey.v1.evidence_pb2 import ABSENCE_TYPE_NO_SAMPLES
from covey.v1.rollouts_pb2 import Rollout

from .rollout_rooms import ABORTED, Caller, Rooms, decided, finished, looked, refusal, tick

# Lists


def test_rollouts_are_listed_newest_first_in_pages_without_verdicts(call: Caller) -> None:
    for number in range(5):
        call.create(f"r{number}")
    call("AbortRollout", name="rollouts/r2", reason="not needed")
    names, token = [], ""
    while True:
        page = call("ListRollouts", page_size=2, page_token=token)
        assert len(page.rollouts) <= 2
        names += [rollout.name for rollout in page.rollouts]
        token = page.next_page_token
        if not token:
            break
    assert names == [f"rollouts/r{number}" for number in (4, 3, 2, 1, 0)]
    active = call("ListRollouts", active_only=True).rollouts
    assert [rollout.name for rollout in active] == [f"rollouts/r{number}" for number in (4, 3, 1, 0)]
    every = {rollout.name: rollout for rollout in call("ListRollouts").rollouts}
    assert every["rollouts/r2"].state == Rollout.STATE_ABORTED
    assert not any(rollout.verdicts for rollout in every.values())
    token = call("ListRollouts", page_size=2).next_page_token
    assert refusal(call, "ListRollouts", active_only=True, page_token=token).fields == ["page_token"]


def test_a_rollout_created_between_two_pages_disturbs_nobody(call: Caller) -> None:
    for number in range(4):
        call.create(f"r{number}")
    first = call("ListRollouts", page_size=2)
    call.create("r9")
    second = call("ListRollouts", page_size=2, page_token=first.next_page_token)
    assert [rollout.name for rollout in second.rollouts] == ["rollouts/r1", "rollouts/r0"]


def test_entries_come_in_pages_with_or_without_ticks(rooms: Rooms, call: Caller) -> None:
    epoch = call.to_canary(rooms.clock)
    for _ in range(10):
        call.commit(epoch, looked(rooms.clock.now, 100))
    found, token = [], ""
    while True:
        page = call("ListEntries", parent="rollouts/x", page_size=4, page_token=token)
        found += [entry.sequence for entry in page.entries]
        token = page.next_page_token
        if not token:
            break
    assert found == list(range(1, 17))
    kinds = ["created", "started", "approved", "approved", "phase_entered"]
    without = call("ListEntries", parent="rollouts/x", omit_ticks=True)
    assert [entry.WhichOneof("payload") for entry in without.entries] == kinds
    assert not without.next_page_token


def test_a_page_of_large_entries_stays_within_what_clients_accept(rooms: Rooms, call: Caller) -> None:
    epoch = call.to_canary(rooms.clock)
    large = looked(rooms.clock.now, 100)
    large.tick.absences.add(replica="r", type=ABSENCE_TYPE_NO_SAMPLES, detail="x" * 900_000)
    for _ in range(6):
        call.commit(epoch, *decided(rooms.journal.state("rollouts/x"), large))
    found, token = 0, ""
    while True:
        page = call("ListEntries", parent="rollouts/x", page_size=1000, page_token=token)
        assert page.ByteSize() < 4 << 20
        found += len(page.entries)
        token = page.next_page_token
        if not token:
            break
    assert found == 13
    refused = refusal(call.commit, epoch, *[large] * 5)
    assert refused.code == grpc.StatusCode.RESOURCE_EXHAUSTED, "above the 4 MiB of a message"


# Watching


def test_a_watch_delivers_every_entry_once_and_ends_with_the_rollout(rooms: Rooms, call: Caller) -> None:
    call.started()
    epoch = call.lease()
    stream = call.stub.WatchRollout(pb.WatchRolloutRequest(name="rollouts/x", after_sequence=1), timeout=30)
    messages = iter(stream)
    first = next(messages)
    assert [entry.sequence for entry in first.entries] == [2]
    assert first.rollout.state == Rollout.STATE_SCHEDULED
    writer = threading.Thread(
        target=lambda: [
            call.enter_canary(epoch),
            *[call.commit(epoch, looked(weight_bp=100)) for _ in range(30)],
            call("AbortRollout", reason="enough"),
            call.commit(epoch, looked(), finished(ABORTED)),
        ]
    )
    writer.start()
    sequences, last = [2], first
    for message in messages:
        assert message.entries, "a message without news"
        sequences += [entry.sequence for entry in message.entries]
        assert message.rollout.last_sequence >= message.entries[-1].sequence
        last = message
    writer.join(timeout=20)
    assert sequences == list(range(2, 40))
    assert last.rollout.state == Rollout.STATE_ABORTED
    assert stream.code() == grpc.StatusCode.OK


def test_a_watch_without_a_position_begins_now(call: Caller) -> None:
    call.started()
    stream = iter(call.stub.WatchRollout(pb.WatchRolloutRequest(name="rollouts/x"), timeout=30))
    first = next(stream)
    assert (first.rollout.last_sequence, len(first.entries)) == (2, 0)
    call("PauseRollout")
    second = next(stream)
    assert [entry.sequence for entry in second.entries] == [3]
    assert second.rollout.paused


def test_a_watch_that_falls_behind_gets_what_it_missed(rooms: Rooms, call: Caller) -> None:
    call.started()
    for _ in range(15):
        rooms.append(*[tick()] * 100)
    stream = iter(call.stub.WatchRollout(pb.WatchRolloutRequest(name="rollouts/x", after_sequence=2), timeout=30))
    sequences: list[int] = []
    while len(sequences) < 1500:
        sequences += [entry.sequence for entry in next(stream).entries]
    assert sequences == list(range(3, 1503))


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (pb.WatchRolloutRequest(name="rollouts/none"), grpc.StatusCode.NOT_FOUND),
        (pb.WatchRolloutRequest(name="x"), grpc.StatusCode.INVALID_ARGUMENT),
        (pb.WatchRolloutRequest(name="rollouts/x", after_sequence=99), grpc.StatusCode.OUT_OF_RANGE),
        (pb.WatchRolloutRequest(name="rollouts/x", after_sequence=-1), grpc.StatusCode.OUT_OF_RANGE),
    ],
)
def test_a_watch_that_cannot_be(call: Caller, request_: pb.WatchRolloutRequest, code: grpc.StatusCode) -> None:
    call.create()
    assert refusal(lambda: next(iter(call.stub.WatchRollout(request_, timeout=10)))).code == code
