"""One client of the control plane: what it asked for, was told, took and refused. Pure.

The state-of-the-world protocol of xDS: a response of a type names a version and a nonce; the client's next request of
that type with that nonce takes it (ACK) or, with an error, refuses it and stays with what it had (NACK).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.any_pb2 import Any

from covey_controller.traffic.xds_resources import ROUTE, WILDCARD_TYPES, Snapshot

MOST_NAMES = 1000
"""Resources that one client may ask for by name; there are six."""


@dataclass
class _Subscription:
    names: frozenset[str]
    is_asked_anew: bool = True
    nonce: str = ""
    sent: dict[str, Any] = field(default_factory=dict)
    sent_snapshot: Snapshot | None = None


class ClientStream:
    """What one client's stream amounts to.

    Attributes:
        node: who it says it is.
        taken: the snapshot whose weights the client has taken last; None before the first.
        refusal: what the client said of the last response that it did not take; empty where it took it.
    """

    def __init__(self) -> None:
        self.node = ""
        self.taken: Snapshot | None = None
        self.refusal = ""
        self._nonces = 0
        self._subscriptions: dict[str, _Subscription] = {}

    def heard(self, request: discovery_pb2.DiscoveryRequest) -> None:
        """Takes a request: a subscription, an ACK or a NACK."""
        self.node = request.node.id or self.node
        names = frozenset(request.resource_names[:MOST_NAMES])
        known = self._subscriptions.get(request.type_url)
        if known is None:
            if request.type_url:
                self._subscriptions[request.type_url] = _Subscription(names)
            return
        if request.response_nonce != known.nonce:
            return  # about a response before the last
        if request.HasField("error_detail"):
            self.refusal = request.error_detail.message or "refused without a reason"
        elif known.nonce:
            self.refusal = ""
            if request.type_url == ROUTE:
                self.taken = known.sent_snapshot
        if names != known.names:
            known.names, known.is_asked_anew = names, True

    def due(self, snapshot: Snapshot) -> list[discovery_pb2.DiscoveryResponse]:
        """What the client must be told now: types it has just asked for, and those that changed."""
        responses = []
        for type_url, subscription in self._subscriptions.items():
            there_are = snapshot.resources.get(type_url, {})
            everything = type_url in WILDCARD_TYPES and (not subscription.names or "*" in subscription.names)
            wanted = there_are if everything else {n: r for n, r in there_are.items() if n in subscription.names}
            same = wanted == subscription.sent and subscription.sent_snapshot is not None
            if same and not subscription.is_asked_anew and not (type_url == ROUTE and self._is_behind(snapshot)):
                continue
            self._nonces += 1
            subscription.nonce = str(self._nonces)
            subscription.sent, subscription.sent_snapshot = wanted, snapshot
            subscription.is_asked_anew = False
            responses.append(
                discovery_pb2.DiscoveryResponse(
                    version_info=snapshot.version,
                    type_url=type_url,
                    nonce=subscription.nonce,
                    resources=list(wanted.values()),
                )
            )
        return responses

    def _is_behind(self, snapshot: Snapshot) -> bool:
        """Weights go out with every new version, so that what a client has taken is always of a known epoch."""
        sent = self._subscriptions[ROUTE].sent_snapshot
        return sent is None or sent.version != snapshot.version


def weight_taken(streams: list[ClientStream], snapshot: Snapshot) -> int:
    """The candidate's weight as clients apply it: the snapshot's, or of those that are not there yet the farthest off.

    Clients that have taken nothing send nothing, and where there are none the next one gets the snapshot's.
    """
    wanted = snapshot.setting.weight_bp
    taken = [stream.taken.setting.weight_bp for stream in streams if stream.taken is not None]
    return max(taken, key=lambda weight_bp: abs(weight_bp - wanted), default=wanted)
