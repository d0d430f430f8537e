"""A split as the resources of xDS: listener, route with weights, two clusters and their endpoints. Pure.

The names are for gRPC's `xds:///SERVICE`; Envoy takes the route SERVICE and the clusters SERVICE/baseline and
SERVICE/candidate by the same protocol.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any as AnyType

from envoy.config.cluster.v3 import circuit_breaker_pb2, cluster_pb2
from envoy.config.core.v3 import address_pb2, config_source_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.config.listener.v3 import api_listener_pb2, listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from google.protobuf.any_pb2 import Any

from covey.rollout.traffic import host_and_port
from covey_controller.traffic.setting import Setting

LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"
ROUTE = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
ENDPOINTS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
# A client that asks for all of these types gets every resource there is, without naming it.
WILDCARD_TYPES = frozenset({LISTENER, CLUSTER})
_EVERYTHING = 10_000
_UNLIMITED = 2**31 - 1


@dataclass(frozen=True)
class Snapshot:
    """Everything that clients of a service are told at one moment.

    Attributes:
        service: after xds:///.
        setting: the weight with its epoch and change, which make the version.
        baseline: its HOST:PORTs.
        candidate: its HOST:PORTs.
    """

    service: str
    setting: Setting
    baseline: tuple[str, ...]
    candidate: tuple[str, ...]

    @property
    def version(self) -> str:
        """Epoch and change: no two snapshots of one control plane share it."""
        return f"{self.setting.epoch}.{self.setting.change}"

    @cached_property
    def resources(self) -> dict[str, dict[str, Any]]:
        """By type and name."""
        clusters = {f"{self.service}/baseline": self.baseline, f"{self.service}/candidate": self.candidate}
        return {
            LISTENER: {self.service: _packed(_listener(self.service))},
            ROUTE: {self.service: _packed(_route(self.service, self.setting.weight_bp))},
            CLUSTER: {name: _packed(_cluster(name)) for name in clusters},
            ENDPOINTS: {name: _packed(_endpoints(name, places)) for name, places in clusters.items()},
        }


def _packed(message: AnyType) -> Any:
    packed = Any()
    packed.Pack(message, deterministic=True)
    return packed


def _by_ads() -> AnyType:
    return config_source_pb2.ConfigSource(
        ads=config_source_pb2.AggregatedConfigSource(), resource_api_version=config_source_pb2.V3
    )


def _listener(service: str) -> AnyType:
    manager = http_connection_manager_pb2.HttpConnectionManager(
        rds=http_connection_manager_pb2.Rds(config_source=_by_ads(), route_config_name=service),
        http_filters=[http_connection_manager_pb2.HttpFilter(name="router", typed_config=_packed(router_pb2.Router()))],
    )
    return listener_pb2.Listener(name=service, api_listener=api_listener_pb2.ApiListener(api_listener=_packed(manager)))


def _route(service: str, weight_bp: int) -> AnyType:
    split = route_components_pb2.WeightedCluster()
    for role, weight in (("baseline", _EVERYTHING - weight_bp), ("candidate", weight_bp)):
        cluster = split.clusters.add(name=f"{service}/{role}")
        cluster.weight.value = weight
    route = route_components_pb2.Route(
        match=route_components_pb2.RouteMatch(prefix=""),
        route=route_components_pb2.RouteAction(weighted_clusters=split),
    )
    host = route_components_pb2.VirtualHost(name=service, domains=["*"], routes=[route])
    return route_pb2.RouteConfiguration(name=service, virtual_hosts=[host])


def _cluster(name: str) -> AnyType:
    # Without a limit of their own, clients refuse calls beyond 1,024 at once, and a split is no place for that.
    unlimited = circuit_breaker_pb2.CircuitBreakers()
    unlimited.thresholds.add().max_requests.value = _UNLIMITED
    return cluster_pb2.Cluster(
        name=name,
        circuit_breakers=unlimited,
        type=cluster_pb2.Cluster.EDS,
        eds_cluster_config=cluster_pb2.Cluster.EdsClusterConfig(eds_config=_by_ads(), service_name=name),
        lb_policy=cluster_pb2.Cluster.ROUND_ROBIN,
    )


def _endpoints(name: str, places: tuple[str, ...]) -> AnyType:
    assignment = endpoint_pb2.ClusterLoadAssignment(cluster_name=name)
    group = assignment.endpoints.add()
    group.locality.sub_zone = "covey"
    group.load_balancing_weight.value = 1
    for place in places:
        host, port = host_and_port(place)
        address = address_pb2.Address(socket_address=address_pb2.SocketAddress(address=host, port_value=port))
        group.lb_endpoints.append(
            endpoint_components_pb2.LbEndpoint(endpoint=endpoint_components_pb2.Endpoint(address=address))
        )
    return assignment
