"""A client that one thread closes while another begins to use it."""

from __future__ import annotations

import threading

import grpc

from covey.client import Client


def test_nothing_is_closed_while_a_stub_is_made_of_it() -> None:
    """The other way round ended whole processes: a dashboard told to stop as a follower opened its stub."""
    begun, go_on = threading.Event(), threading.Event()
    order = []

    class Slow:
        def __init__(self, channel: grpc.Channel) -> None:
            begun.set()
            assert go_on.wait(60)
            order.append("made")
            channel.unary_unary("/covey.v1.RolloutService/GetRollout", _registered_method=True)

    client = Client(control="127.0.0.1:1")
    maker = threading.Thread(target=client.stub, args=(Slow, client.control))
    maker.start()
    assert begun.wait(60)
    closer = threading.Thread(target=lambda: (client.close(), order.append("closed")))
    closer.start()
    closer.join(0.2)
    assert closer.is_alive(), "it waits"
    go_on.set()
    for thread in (maker, closer):
        thread.join(60)
    assert order == ["made", "closed"]
