"""Counters from a range of a Prometheus server, as a table that a replay reads."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from covey.cli.output import CommandError

if TYPE_CHECKING:
    from covey.rollout.samples import Samples
    from covey.v1.rollout_spec_pb2 import RolloutSpec

TIMEOUT_SECONDS = 30.0
LARGEST_ANSWER_BYTES = 256 << 20
_METHODS = 'method=~"AnalyzeLearners?"'
_UNAVAILABLE = "UNAVAILABLE|DEADLINE_EXCEEDED"
_ERRORS = f"INTERNAL|UNKNOWN|DATA_LOSS|ABORTED|{_UNAVAILABLE}"
_ALL = f"sum by (variant) (covey_requests_total{{{_METHODS}}})"


def default_queries(limits_seconds: Sequence[float], shadow: bool) -> dict[str, str]:
    """One query per counter, of covey's own metrics; a code that never came is 0, a variant that never came absent."""
    queries = {
        "requests": _requests('code!="RESOURCE_EXHAUSTED"'),
        "errors": _requests(f'code=~"{_ERRORS}"'),
        "unavailable": _requests(f'code=~"{_UNAVAILABLE}"'),
        "shed": _requests('code="RESOURCE_EXHAUSTED"'),
    }
    for limit in limits_seconds:
        matched = f'{_METHODS},limit_seconds="{limit:g}"'
        queries[f"over_{limit:g}"] = f"sum by (variant) (covey_requests_over_limit_total{{{matched}}})"
    if shadow:
        for result in ("equal", "different", "failed"):
            queries[result] = f'sum(covey_shadow_total{{result="{result}"}})'
    return queries


def _requests(codes: str) -> str:
    return f"sum by (variant) (covey_requests_total{{{_METHODS},{codes}}}) or 0 * {_ALL}"


def read_range(
    address: str,
    spec: RolloutSpec,
    start: datetime,
    end: datetime,
    step_seconds: float,
    overrides: Mapping[str, str],
) -> Samples:
    """Counters of a plan's variants between two times.

    Args:
        address: of the server, such as http://127.0.0.1:9090.
        spec: the plan: which counters are asked for.
        start: first point, aware.
        end: last point, aware.
        step_seconds: between two points.
        overrides: other queries by counter; each must give one series per `variant` (answers computed twice: one).

    Raises:
        CommandError: the server cannot be asked, or a query gives no series, or several for one variant.
        SampleError: what it gives is no evidence.
    """
    from covey.rollout.samples import read_samples
    from covey.rollout.spec import active_limits_seconds, variant_name, with_defaults
    from covey.rollout.statement import Kind, parse_statement, statement_texts

    full = with_defaults(spec)
    shadow = any(parse_statement(text).kind is Kind.MISMATCH for text in statement_texts(full))
    queries = default_queries(active_limits_seconds(full), shadow)
    unknown = sorted(set(overrides) - set(queries))
    if unknown:
        raise CommandError(f"--query {unknown[0]}: the plan needs no such counter; it needs {', '.join(queries)}")
    queries |= overrides
    points = {name: _points(address, query, name, start, end, step_seconds) for name, query in queries.items()}
    names = {variant_name(variant) for variant, _ in points["requests"]} & {full.baseline, full.candidate}
    rows = []
    for (variant, time), requests in sorted(points["requests"].items(), key=lambda item: (item[0][1], item[0][0])):
        name = variant_name(variant)
        if name not in names:
            continue
        row = [time, name, requests]
        for counter in list(queries)[1:]:
            alone = counter in {"equal", "different", "failed"}
            key = ("", time) if alone else (variant, time)
            value = points[counter].get(key)
            if value is None:
                raise CommandError(f"{address}: no {counter} of {name} at {time:.0f}; its query is {queries[counter]}")
            row.append(value)
        rows.append(row)
    return read_samples(["time", "variant", *queries], rows, address, cumulative=True)


def _points(
    address: str, query: str, name: str, start: datetime, end: datetime, step_seconds: float
) -> dict[tuple[str, float], str]:
    """Values by variant and time."""
    parameters = {"query": query, "start": start.timestamp(), "end": end.timestamp(), "step": step_seconds}
    series = _ask(f"{address.rstrip('/')}/api/v1/query_range?{urllib.parse.urlencode(parameters)}", address)
    if not series:
        raise CommandError(f"{address}: the query for {name} gives no series: {query}")
    found: dict[tuple[str, float], str] = {}
    for each in series:
        variant = each["metric"].get("variant", "")
        for time, value in each["values"]:
            key = (variant, float(time))
            if key in found:
                raise CommandError(f"{address}: the query for {name} gives two series of {variant or 'one'}: {query}")
            found[key] = value
    return found


def _ask(url: str, address: str) -> list[dict[str, Any]]:
    if not url.startswith(("http://", "https://")):
        raise CommandError(f"--prometheus {address!r} is no address; expected http://HOST:PORT")
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - http only, above
            document = json.loads(answer.read(LARGEST_ANSWER_BYTES))
        return list(document["data"]["result"])
    except urllib.error.HTTPError as error:
        told = error.read(10_000).decode(errors="replace")
        raise CommandError(f"{address}: {error.code}: {told}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CommandError(f"{address}: {error}; is it a Prometheus server?") from error
