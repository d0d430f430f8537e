"""The control port: health, reflection, bounds, an end that tells its watchers."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import ExitStack

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from covey.v1 import rollouts_pb2 as pb
from covey_server.access.gate import open_gate
from covey_server.errors import CallError
from covey_server.ports.control_port import SERVICE_NAME, PortError, start_control_port
from covey_server.rollouts.watch import MOST_WATCHERS, WatchHub

from .rollout_rooms import Caller, Rooms, control_port, refusal


@pytest.mark.parametrize("service", ["", SERVICE_NAME])
def test_health(call: Caller, service: str) -> None:
    stub = health_pb2_grpc.HealthStub(call.channel)
    answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_reflection_lists_and_describes_the_service(call: Caller) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(call.channel)
    questions = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE_NAME),
    ]
    listed, described = stub.ServerReflectionInfo(iter(questions), timeout=10)
    names = {service.name for service in listed.list_services_response.service}
    assert names == {
        SERVICE_NAME,
        "covey.v1.AccessService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    assert described.file_descriptor_response.file_descriptor_proto


def test_a_port_in_use_is_named(rooms: Rooms) -> None:
    with control_port(rooms) as port:
        started = time.monotonic()
        with pytest.raises(PortError, match=rf"cannot listen on 127\.0\.0\.1:{port.port}: it is in use"):
            start_control_port(f"127.0.0.1:{port.port}", rooms.journal, open_gate())
        assert time.monotonic() - started < 30
    assert not [thread for thread in threading.enumerate() if thread.name == "control-port"]


def test_an_end_tells_the_watchers_and_refuses_new_calls(rooms: Rooms) -> None:
    with control_port(rooms) as port:
        caller = Caller(port.port)
        caller.create()
        stream = caller.stub.WatchRollout(pb.WatchRolloutRequest(name="rollouts/x"), timeout=30)
        messages = iter(stream)
        next(messages)
        started = time.monotonic()
        port.stop(60.0)
        assert time.monotonic() - started < 30, "watchers do not use up the grace"
        ended = refusal(next, messages)
        assert ended.code == grpc.StatusCode.UNAVAILABLE
        assert ended.reason == "STOPPING"
        with pytest.raises(grpc.RpcError):
            caller("GetRollout")
        port.stop(10.0)
        caller.close()


def test_a_journal_outlives_its_port(rooms: Rooms) -> None:
    with control_port(rooms) as port:
        caller = Caller(port.port)
        caller.create()
        caller.close()
        port.stop()
    rooms.start()  # nobody listens any more
    with control_port(rooms) as port:
        caller = Caller(port.port)
        assert len(caller.entries()) == 2
        caller.close()


def test_watchers_are_bounded_and_get_told(call: Caller) -> None:
    call.create()
    request = pb.WatchRolloutRequest(name="rollouts/x")
    streams = [call.stub.WatchRollout(request, timeout=30) for _ in range(MOST_WATCHERS)]
    for stream in streams:
        next(iter(stream))
    refused = refusal(lambda: next(iter(call.stub.WatchRollout(request, timeout=30))))
    assert refused.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refused.reason == "TOO_MANY_WATCHERS"
    # With every place taken, no thread is: verbs go on, and everybody hears of them.
    call("StartRollout")
    assert [next(iter(stream)).entries[0].sequence for stream in streams] == [2] * MOST_WATCHERS
    for stream in streams:
        stream.cancel()
    deadline = time.monotonic() + 10
    while True:
        try:
            next(iter(call.stub.WatchRollout(request, timeout=30)))
            break
        except grpc.RpcError:
            assert time.monotonic() < deadline, "places are given back"


def test_reads_do_not_delay_an_abort(rooms: Rooms, call: Caller) -> None:
    call.started()
    request = pb.ListEntriesRequest(parent="rollouts/x")
    with ExitStack() as readers:
        for _ in range(8):  # every reader that the store has
            readers.enter_context(rooms.store.read())
        reads = [call.stub.ListEntries.future(request, timeout=30) for _ in range(50)]
        assert call("AbortRollout", reason="now").rollout.state == pb.Rollout.STATE_ABORTED
        assert not any(read.done() for read in reads)
    assert all(len(read.result().entries) >= 2 for read in reads)


def test_a_watcher_misses_no_wake_up_and_a_closed_hub_ends_it() -> None:
    async def scenario() -> None:
        hub = WatchHub(asyncio.get_running_loop(), most_watchers=1)
        with hub.watcher("rollouts/x") as watcher:
            hub.notify("rollouts/other")
            hub.notify("rollouts/x")
            await asyncio.wait_for(watcher.wait(), 5)  # the news came before the wait
            waiting = asyncio.create_task(watcher.wait())
            await asyncio.sleep(0)
            assert not waiting.done()
            with pytest.raises(CallError, match="1 streams watch already"), hub.watcher("rollouts/y"):
                pass
            hub.close()
            with pytest.raises(CallError, match="stopping"):
                await asyncio.wait_for(waiting, 5)
        assert hub.count == 0
        with hub.watcher("rollouts/x") as late, pytest.raises(CallError, match="stopping"):
            await late.wait()

    asyncio.run(scenario())
