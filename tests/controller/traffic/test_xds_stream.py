"""One client's stream: what it is told, and what it has taken."""

from __future__ import annotations

from envoy.service.discovery.v3 import discovery_pb2

from covey_controller.traffic.setting import Setting
from covey_controller.traffic.xds_resources import CLUSTER, ENDPOINTS, LISTENER, ROUTE, Snapshot
from covey_controller.traffic.xds_stream import ClientStream, weight_taken

Response = discovery_pb2.DiscoveryResponse


def snapshot(change: int = 0, weight_bp: int = 100, epoch: int = 1) -> Snapshot:
    return Snapshot("echo", Setting(epoch, change, weight_bp), ("127.0.0.1:1",), ("127.0.0.1:2", "127.0.0.1:3"))


def ask(stream: ClientStream, type_url: str, *names: str, nonce: str = "", error: str = "") -> None:
    request = discovery_pb2.DiscoveryRequest(type_url=type_url, resource_names=names, response_nonce=nonce)
    request.node.id = "me"
    if error:
        request.error_detail.message = error
    stream.heard(request)


def only(responses: list[Response]) -> Response:
    (response,) = responses
    return response


def taking(stream: ClientStream, shown: Snapshot) -> Response:
    """Asks for the route and takes it."""
    ask(stream, ROUTE, "echo")
    response = only(stream.due(shown))
    ask(stream, ROUTE, "echo", nonce=response.nonce)
    return response


def test_a_client_gets_what_it_names_once() -> None:
    stream = ClientStream()
    for type_url, name in ((LISTENER, "echo"), (ROUTE, "echo"), (CLUSTER, "echo/candidate"), (ENDPOINTS, "nothing")):
        ask(stream, type_url, name)
    responses = {response.type_url: response for response in stream.due(snapshot())}
    assert {type_url: len(response.resources) for type_url, response in responses.items()} == {
        LISTENER: 1,
        ROUTE: 1,
        CLUSTER: 1,
        ENDPOINTS: 0,
    }
    assert {response.version_info for response in responses.values()} == {"1.0"}
    assert not stream.due(snapshot())


def test_envoy_gets_everything_without_naming_it() -> None:
    stream = ClientStream()
    ask(stream, CLUSTER)
    assert len(only(stream.due(snapshot())).resources) == 2


def test_a_new_weight_goes_out_as_a_route_alone() -> None:
    stream = ClientStream()
    for type_url, name in ((LISTENER, "echo"), (ROUTE, "echo"), (CLUSTER, "echo/candidate")):
        ask(stream, type_url, name)
    stream.due(snapshot())
    assert only(stream.due(snapshot(1, 200))).type_url == ROUTE
    assert only(stream.due(snapshot(0, 200, epoch=2))).version_info == "2.0", "the same weight under a new epoch"


def test_what_a_client_takes_is_its_weight_and_what_it_refuses_is_not() -> None:
    stream, old, new = ClientStream(), snapshot(), snapshot(1, 5000)
    assert weight_taken([stream], new) == 5000, "it has taken nothing, so it sends nothing"
    taking(stream, old)
    assert stream.taken == old
    refused = only(stream.due(new))
    assert weight_taken([stream], new) == 100, "sent is not taken"
    ask(stream, ROUTE, "echo", nonce=refused.nonce, error="no such thing")
    assert stream.taken == old
    assert stream.refusal == "no such thing"
    better = only(stream.due(snapshot(2, 5000)))
    ask(stream, ROUTE, "echo", nonce=better.nonce)
    assert stream.taken == snapshot(2, 5000)
    assert not stream.refusal


def test_an_answer_to_an_older_response_takes_nothing() -> None:
    stream = ClientStream()
    first = taking(stream, snapshot())
    stream.due(snapshot(1, 5000))
    ask(stream, ROUTE, "echo", nonce=first.nonce)
    assert stream.taken == snapshot()


def test_a_client_that_asks_for_more_is_told_again() -> None:
    stream = ClientStream()
    ask(stream, CLUSTER, "echo/baseline")
    first = only(stream.due(snapshot()))
    ask(stream, CLUSTER, "echo/baseline", "echo/candidate", nonce=first.nonce)
    assert len(only(stream.due(snapshot())).resources) == 2


def test_of_several_clients_the_one_farthest_off_is_shown() -> None:
    near, far = ClientStream(), ClientStream()
    taking(near, snapshot(0, 100))
    taking(far, snapshot(1, 1000))
    assert weight_taken([near, far], snapshot(2, 0)) == 1000
    assert weight_taken([near], snapshot(0, 100)) == 100
    assert weight_taken([], snapshot(3, 0)) == 0
