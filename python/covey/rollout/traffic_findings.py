"""What cannot work about the traffic and the metrics of a foreign service."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from covey.access.addresses import is_loopback
from covey.rollout.statement import Kind
from covey.rollout.traffic import (
    DEFAULT_CODE_LABEL,
    DEFAULT_HEADER,
    FOREIGN_ROUTERS,
    OWN_TARGET,
    addresses,
    host_and_port,
    is_foreign,
    limit_sides,
    randomised_unit,
    statement_of,
)
from covey.v1.rollout_spec_pb2 import ON_SEGMENT_HARM_EXCLUDE, MetricsSource, RolloutSpec

MOST_ADDRESSES = 64

Findings = Iterator[tuple[str, str]]

# Its name is part of file names, of xds:/// and of labels.
_TARGET = re.compile(r"[a-z][a-z0-9.-]{0,62}\Z")
_HEADER = re.compile(r"[a-z0-9][a-z0-9-]{0,63}\Z")
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
# One pair of braces outside of quotes: more would be another query.
_SELECTOR = re.compile(r"""\{(?:[^{}"'`\\]|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')*\}\Z""")
_NEAR_ROUTER = "expected unix:/path or a loopback address, such as that of a tunnel to a router elsewhere"
_ROUTER = re.compile(r"unix:/[^\s\0]+\Z")
_NEEDS_LEARNERS = frozenset({Kind.OUTCOME, Kind.SEGMENTS})


def traffic_findings(spec: RolloutSpec) -> Findings:
    """Path and complaint of everything about traffic and metrics that cannot work."""
    if not is_foreign(spec) or not spec.target:
        return
    if spec.target == OWN_TARGET:
        field = "metrics" if spec.HasField("metrics") else f"traffic.{spec.traffic.WhichOneof('router')}"
        yield field, f"the target '{OWN_TARGET}' splits and counts its own traffic; leave it out or name another target"
        return
    if not _TARGET.match(spec.target):
        yield "target", f"'{spec.target}' is no target; expected 1 to 63 of a-z, 0-9, . and -, beginning with a letter"
    yield from _variant_findings(spec)
    yield from _router_findings(spec)
    yield from _metrics_findings(spec.metrics)
    if not spec.HasField("metrics"):
        yield "metrics", f"it is missing; expected where the counters of {spec.target} are read: scrape or prometheus"
    yield from _gate_findings(spec)


def traffic_warnings(spec: RolloutSpec) -> Findings:
    """Path and remark of what works only under a condition."""
    if not is_foreign(spec):
        if spec.target and spec.target != OWN_TARGET:
            yield (
                "target",
                f"'{spec.target}' is not '{OWN_TARGET}': without traffic and metrics the plan can be replayed, not run",
            )
        return
    for limit, sides in limit_sides(spec).items():
        if len(sides) == 2:
            yield (
                "triggers",
                f"{limit:g} s is the limit of a criterion and of a trigger, so it must be an edge of the histogram "
                "itself; give the trigger a higher limit where it is not",
            )


def _variant_findings(spec: RolloutSpec) -> Findings:
    seen: dict[str, str] = {}
    for field in ("baseline", "candidate"):
        text = getattr(spec, field)
        if not text:
            yield field, "it is missing; expected where its processes answer, such as 127.0.0.1:7001"
            continue
        found = addresses(text)
        if len(found) > MOST_ADDRESSES:
            yield field, f"it has {len(found)} addresses, at most {MOST_ADDRESSES}"
        for address in found:
            problem = _address_problem(address, numeric=spec.traffic.HasField("xds"))
            if problem:
                yield field, problem
            elif address in seen:
                where = "twice" if seen[address] == field else f"in the {seen[address]} too; nothing can be told apart"
                yield field, f"{address} is there {where}; keep one"
            seen[address] = field


def _address_problem(address: str, *, numeric: bool) -> str:
    try:
        host, _ = host_and_port(address)
    except ValueError as error:
        return f"{error}; expected such as 127.0.0.1:7001, several with commas between"
    if not numeric:
        return ""
    try:
        ip_address(host)
    except ValueError:
        return f"'{host}' is a name, and clients of xDS look no names up; expected an IP address"
    return ""


def _router_findings(spec: RolloutSpec) -> Findings:
    router = spec.traffic.WhichOneof("router")
    if router not in FOREIGN_ROUTERS:
        what = f"'{spec.target}' is not this service ('{OWN_TARGET}'), so somebody else must split its traffic"
        yield ("traffic.self" if router else "traffic"), f"{what}; expected haproxy or xds"
    if router == "haproxy":
        haproxy = spec.traffic.haproxy
        if not haproxy.routers:
            yield "traffic.haproxy.routers", "it is empty; expected the control socket of every HAProxy process"
        for index, address in enumerate(haproxy.routers):
            path = f"traffic.haproxy.routers[{index}]"
            if not _ROUTER.match(address) and _address_problem(address, numeric=False):
                yield path, f"'{address}' is no control socket; expected unix:/path or HOST:PORT"
            elif not is_loopback(address):
                # HAProxy's interface is plaintext and asks nobody who they are.
                yield path, f"'{address}' is on a network: whoever reaches it moves the traffic; {_NEAR_ROUTER}"
            elif address in haproxy.routers[:index]:
                yield path, f"'{address}' is there twice; keep one"
        if haproxy.header and not _HEADER.match(haproxy.header):
            yield (
                "traffic.haproxy.header",
                f"'{haproxy.header}' is no header of a gRPC call; expected a-z, 0-9 and -, such as {DEFAULT_HEADER}",
            )
    if router == "xds" and spec.traffic.xds.service and not _TARGET.match(spec.traffic.xds.service):
        yield "traffic.xds.service", f"'{spec.traffic.xds.service}' is no name; expected a-z, 0-9, . and -"


def _metrics_findings(metrics: MetricsSource) -> Findings:
    for field in ("requests", "durations", "start_time"):
        name = getattr(metrics, field)
        if name and not _METRIC.match(name):
            yield f"metrics.{field}", f"'{name}' is no name of a metric"
    if metrics.code_label and not _LABEL.match(metrics.code_label):
        yield "metrics.code_label", f"'{metrics.code_label}' is no name of a label"
    for index, label in enumerate(metrics.labels):
        if not _LABEL.match(label.name) or label.name == (metrics.code_label or DEFAULT_CODE_LABEL):
            yield f"metrics.labels[{index}].name", f"'{label.name}' is no name of a label that all counted series share"
    source = metrics.WhichOneof("source")
    if source == "scrape":
        yield from _scrape_findings(metrics)
    elif source == "prometheus":
        yield from _prometheus_findings(metrics)
    elif metrics.ByteSize():
        yield "metrics", "it says not where; expected scrape or prometheus"


def _scrape_findings(metrics: MetricsSource) -> Findings:
    seen: set[str] = set()
    for field in ("baseline_urls", "candidate_urls"):
        urls = getattr(metrics.scrape, field)
        if not urls:
            yield f"metrics.scrape.{field}", "it is empty; expected the metrics page of every process"
        for index, url in enumerate(urls):
            path = f"metrics.scrape.{field}[{index}]"
            if not _is_http(url):
                yield path, f"'{url}' is no page; expected http://HOST:PORT/metrics"
            elif url in seen:
                yield path, f"{url} is there twice; every process counts for one variant, once"
            seen.add(url)


def _prometheus_findings(metrics: MetricsSource) -> Findings:
    source = metrics.prometheus
    if not _is_http(source.url):
        yield "metrics.prometheus.url", f"'{source.url}' is no address; expected http://HOST:PORT"
    for field in ("baseline_selector", "candidate_selector"):
        text = getattr(source, field).strip()
        if not _SELECTOR.match(text) or not text.strip("{} ") or "__name__" in text:
            yield (
                f"metrics.prometheus.{field}",
                f"'{text}' selects no processes; expected labels in braces without a metric's name, such as "
                '{job="echo",version="1"}',
            )
    if source.baseline_selector and source.baseline_selector.strip() == source.candidate_selector.strip():
        yield "metrics.prometheus.candidate_selector", "it is the baseline's; nothing can be told apart"


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme == "http" and bool(parts.hostname) and parts.port != 0 and not set(url) & set(" \t\r\n")
    except ValueError:
        return False


def _gate_findings(spec: RolloutSpec) -> Findings:
    """Statements that nothing measures here."""
    criteria = [
        (f"phases[{index}].criteria[{number}].statement", criterion.statement)
        for index, phase in enumerate(spec.phases)
        for number, criterion in enumerate(phase.criteria)
    ]
    triggers = [(f"triggers[{index}].statement", trigger.statement) for index, trigger in enumerate(spec.triggers)]
    for path, text in criteria + triggers:
        statement = statement_of(text)
        if statement is None:
            continue
        if statement.kind is Kind.MISMATCH:
            yield path, f"'{text}': nobody computes answers of {spec.target} twice; leave it out"
        elif statement.kind in _NEEDS_LEARNERS:
            yield path, f"'{text}' is about learners; {_why_no_learners(spec)}; leave it out"
    if spec.outcomes:
        yield "outcomes", f"outcomes belong to learners; {_why_no_learners(spec)}; leave them out"
    if spec.on_segment_harm == ON_SEGMENT_HARM_EXCLUDE:
        yield "on_segment_harm", f"segments are of learners; {_why_no_learners(spec)}; leave it out"
    if spec.shadow_share > 0:
        yield "shadow_share", f"nobody computes answers of {spec.target} twice; leave it out"


def _why_no_learners(spec: RolloutSpec) -> str:
    if randomised_unit(spec) == "request":
        return "xDS splits requests, so that every learner meets both variants"
    return f"who met which variant of {spec.target} is not recorded"
