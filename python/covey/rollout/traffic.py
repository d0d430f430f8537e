"""Who splits the traffic of a rollout, what is randomised by it, and which gates that leaves."""

from __future__ import annotations

import re
from typing import Literal

from covey.rollout.statement import Kind, Statement, StatementError, parse_statement
from covey.v1.rollout_spec_pb2 import RolloutSpec

OWN_TARGET = "analyzer"
"""This service; any other target is foreign."""

FOREIGN_ROUTERS = frozenset({"haproxy", "xds"})

DEFAULT_HEADER = "x-covey-learner"
DEFAULT_REQUESTS = "grpc_server_handled_total"
DEFAULT_CODE_LABEL = "grpc_code"
DEFAULT_DURATIONS = "grpc_server_handling_seconds"
DEFAULT_START_TIME = "process_start_time_seconds"

Unit = Literal["learner", "request"]
Side = Literal["below", "above"]

_ADDRESS = re.compile(r"(?P<host>[A-Za-z0-9_.-]+|\[[0-9a-fA-F:.]+\]):(?P<port>\d{1,5})\Z")


def is_foreign(spec: RolloutSpec) -> bool:
    """Whether the service is somebody else's: its baseline and candidate are addresses, and its plan says how to."""
    return spec.HasField("metrics") or spec.traffic.WhichOneof("router") in FOREIGN_ROUTERS


def randomised_unit(spec: RolloutSpec) -> Unit:
    """What goes to one variant or the other as a whole: a learner, who stays there, or each request anew."""
    return "request" if spec.traffic.HasField("xds") else "learner"


def splitter(spec: RolloutSpec) -> str:
    """Who splits the traffic and by what, for people."""
    if spec.traffic.HasField("xds"):
        return f"clients of xds:///{spec.traffic.xds.service or spec.target} split requests, each anew"
    if spec.traffic.HasField("haproxy"):
        return f"HAProxy splits learners, named by {spec.traffic.haproxy.header or DEFAULT_HEADER}, who stay"
    return "the service splits learners, who stay"


def addresses(variant: str) -> tuple[str, ...]:
    """The HOST:PORT of every process of a foreign variant."""
    return tuple(part.strip() for part in variant.split(","))


def host_and_port(address: str) -> tuple[str, int]:
    """The parts of a HOST:PORT; brackets of IPv6 are taken off.

    Raises:
        ValueError: it is none.
    """
    match = _ADDRESS.match(address)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise ValueError(f"'{address}' is no HOST:PORT")
    return match["host"].strip("[]"), int(match["port"])


def fill_foreign(spec: RolloutSpec) -> None:
    """Fill in the defaults of a foreign service's traffic and metrics, in place."""
    traffic, metrics = spec.traffic, spec.metrics
    if traffic.HasField("haproxy"):
        traffic.haproxy.header = traffic.haproxy.header or DEFAULT_HEADER
    if traffic.HasField("xds"):
        traffic.xds.service = traffic.xds.service or spec.target
    metrics.requests = metrics.requests or DEFAULT_REQUESTS
    metrics.code_label = metrics.code_label or DEFAULT_CODE_LABEL
    metrics.durations = metrics.durations or DEFAULT_DURATIONS
    metrics.start_time = metrics.start_time or DEFAULT_START_TIME


def limit_sides(spec: RolloutSpec) -> dict[float, frozenset[Side]]:
    """On which side of each latency limit a histogram's edge may stand in for it, limits in seconds.

    A criterion must not pass for an edge beyond its limit ("below": more requests count as slow), a trigger must not
    roll back for one before it ("above").
    """
    sides: dict[float, frozenset[Side]] = {}
    criteria = [criterion.statement for phase in spec.phases for criterion in phase.criteria]
    for texts, side in ((criteria, "below"), ([trigger.statement for trigger in spec.triggers], "above")):
        for statement in map(statement_of, texts):
            if statement is not None and statement.kind is Kind.LATENCY:
                added: Side = "below" if side == "below" else "above"
                sides[statement.limit] = sides.get(statement.limit, frozenset()) | {added}
    return dict(sorted(sides.items()))


def statement_of(text: str) -> Statement | None:
    """The statement that a text makes; None where it makes none, as check_spec says."""
    try:
        return parse_statement(text)
    except StatementError:
        return None
