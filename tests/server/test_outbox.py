"""What sinks are told of: every transition once per cursor, kept over restarts, under the epoch of the lease."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest

from .rollout_rooms import ABORTED, Caller, Rooms, control_port, finished, looked, refusal


def pull(call: Caller, epoch: int, sink: str = "hook", **fields: Any) -> list[tuple[str, int, str]]:
    answer = call("PullNotifications", sink=sink, target="analyzer", epoch=epoch, **fields)
    found = []
    for note in answer.notifications:
        assert note.dedupe_key == f"{note.rollout}/{note.entry.sequence}/{sink}"
        found.append((note.rollout, note.entry.sequence, str(note.entry.WhichOneof("payload"))))
    return found


def advance(call: Caller, epoch: int, sequence: int, sink: str = "hook", name: str = "rollouts/x") -> int:
    return int(call("AdvanceNotifications", name, sink=sink, sequence=sequence, epoch=epoch).sequence)


def test_a_sink_is_told_each_transition_until_it_advances(rooms: Rooms, call: Caller) -> None:
    epoch = call.to_canary(rooms.clock)
    told = pull(call, epoch)
    assert [kind for _, _, kind in told] == ["created", "started", "approved", "approved", "phase_entered"]
    assert pull(call, epoch) == told, "until it advances"
    assert advance(call, epoch, told[1][1]) == 2
    assert pull(call, epoch) == told[2:]
    assert advance(call, epoch, 1) == 2, "never back"
    assert pull(call, epoch, page_size=1) == told[2:3]
    assert pull(call, epoch, sink="pager") == told, "each sink has its own"
    advance(call, epoch, told[-1][1])
    call.commit(epoch, looked(rooms.clock.now, 100))
    assert pull(call, epoch) == [], "a look is no transition"


def test_the_end_of_a_rollout_is_told_after_it_and_then_it_is_left_alone(rooms: Rooms, call: Caller) -> None:
    epoch = call.to_canary(rooms.clock)
    assert pull(call, epoch)
    call("AbortRollout", reason="no")
    call.commit(epoch, looked(rooms.clock.now), finished(ABORTED))
    call.create("next")
    told = pull(call, epoch)
    assert [kind for _, _, kind in told][-3:] == ["rollback_started", "finished", "created"]
    assert pull(call, epoch, sink="late") == [("rollouts/next", 1, "created")], "it was over before that sink came"
    advance(call, epoch, told[-2][1])
    assert pull(call, epoch) == [("rollouts/next", 1, "created")]


def test_cursors_survive_a_restart(tmp_path: Path) -> None:
    rooms = Rooms(tmp_path / "data")
    with control_port(rooms) as port:
        call = Caller(port.port)
        epoch = call.to_canary(rooms.clock)
        pull(call, epoch)
        advance(call, epoch, 2)
        left = pull(call, epoch)
        call.close()
    rooms = rooms.reopened()
    with control_port(rooms) as port:
        call = Caller(port.port)
        assert pull(call, epoch) == left
        call.close()
    rooms.close()


def test_only_the_holder_of_the_lease_tells(rooms: Rooms, call: Caller) -> None:
    epoch = call.to_canary(rooms.clock)
    pull(call, epoch)
    call("AcquireLease", target="analyzer", holder="controller-1", release=True)
    call.lease("controller-2")
    request = {"sink": "hook", "epoch": epoch}
    assert refusal(call, "PullNotifications", target="analyzer", **request).reason == "STALE_EPOCH"
    assert refusal(call, "AdvanceNotifications", sequence=1, **request).reason == "STALE_EPOCH"


@pytest.mark.parametrize(
    ("method", "fields", "wrong"),
    [
        ("PullNotifications", {"target": "analyzer"}, ["sink"]),
        ("PullNotifications", {"sink": "A b", "target": "analyzer"}, ["sink"]),
        ("PullNotifications", {"sink": "a", "target": "analyzer", "page_size": -1}, ["page_size"]),
        ("AdvanceNotifications", {"sink": "a"}, ["sequence"]),
        ("AdvanceNotifications", {"sink": "a", "sequence": 99}, ["sequence"]),
    ],
)
def test_a_wrong_field_is_named(
    rooms: Rooms, call: Caller, method: str, fields: dict[str, Any], wrong: list[str]
) -> None:
    epoch = call.to_canary(rooms.clock)
    refused = refusal(call, method, epoch=epoch, **fields)
    assert (refused.code, refused.fields) == (grpc.StatusCode.INVALID_ARGUMENT, wrong)
