"""What a page says beyond totals: requests by learner shard, and by duration where latencies are compared."""

from __future__ import annotations

import math
from collections.abc import Collection
from itertools import pairwise

from covey.v1 import evidence_pb2 as pb
from covey_controller import page as names
from covey_controller.page import Page
from covey_controller.scrape import AbsenceError

SHARD_COUNT = 100
"""Shards of `covey_shard_requests_total`: 0 to 99."""

_FAILURES = frozenset({"error", "unavailable"})


def read_shards(page: Page, variants: Collection[str]) -> list[pb.ShardCounters]:
    """Requests of each variant by shard; none where the page does not count them.

    The page leaves out series that are 0, so a shard without one is 0.

    Raises:
        AbsenceError: when a number is broken, or a shard is none of the hundred.
    """
    if names.SHARDS not in page.families:
        return []
    requests = {name: [0] * SHARD_COUNT for name in variants}
    errors = {name: [0] * SHARD_COUNT for name in variants}
    unavailable = {name: [0] * SHARD_COUNT for name in variants}
    for labels, count in page.counters(names.SHARDS, lambda labels: labels.get("variant") in requests):
        variant, result, text = labels["variant"], labels.get("result", ""), labels.get("shard", "")
        if not text.isdecimal() or int(text) >= SHARD_COUNT:
            raise AbsenceError(pb.ABSENCE_TYPE_NAN, names.SHARDS, f"shard {text!r} is none of 0 to {SHARD_COUNT - 1}")
        if result == "shed":
            continue
        shard = int(text)
        requests[variant][shard] += count
        errors[variant][shard] += count if result in _FAILURES else 0
        unavailable[variant][shard] += count if result == "unavailable" else 0
    return [
        pb.ShardCounters(
            variant=name,
            request_counts=requests[name],
            error_counts=errors[name],
            unavailable_counts=unavailable[name],
        )
        for name in variants
    ]


def read_durations(page: Page, variants: Collection[str], methods: Collection[str]) -> list[pb.DurationHistogram]:
    """Requests of each variant by duration, its methods together; edges stand in the first histogram only.

    Raises:
        AbsenceError: when the buckets of a method and variant are not one whole, rising, cumulative histogram, or two
            histograms of the page have different edges.
    """
    buckets: dict[tuple[str, str], list[tuple[float, int]]] = {}
    samples = page.counters(
        names.DURATION_BUCKETS, lambda labels: labels.get("variant") in variants and labels.get("method") in methods
    )
    for labels, count in samples:
        edge = _edge(labels.get("le", ""))
        buckets.setdefault((labels["variant"], labels["method"]), []).append((edge, count))
    edges: tuple[float, ...] = ()
    found: list[pb.DurationHistogram] = []
    for variant in variants:
        total: list[int] = []
        for method in sorted(methods):
            pairs = sorted(buckets.get((variant, method), ()))
            if not pairs:
                continue
            mine, counts = tuple(edge for edge, _ in pairs), _intervals([count for _, count in pairs], variant)
            edges = edges or mine
            if mine != edges or not math.isinf(mine[-1]):
                raise _torn(f"the buckets of {variant} in {method} are not those of the others, or have no end")
            total = [a + b for a, b in zip(total, counts, strict=True)] if total else counts
        if not total:
            detail = f"no durations of {variant}, with which latencies are compared"
            raise AbsenceError(pb.ABSENCE_TYPE_NO_SERIES, names.DURATION_BUCKETS, detail)
        found.append(
            pb.DurationHistogram(variant=variant, edges_seconds=() if found else edges[:-1], request_counts=total)
        )
    return found


def _intervals(cumulative: list[int], variant: str) -> list[int]:
    counts = [cumulative[0], *(after - before for before, after in pairwise(cumulative))]
    if min(counts) < 0:
        raise _torn(f"the buckets of {variant} fall")
    return counts


def _edge(text: str) -> float:
    try:
        edge = float(text)
    except ValueError:
        edge = math.nan
    if not edge > 0:
        raise AbsenceError(pb.ABSENCE_TYPE_NAN, names.DURATION_BUCKETS, f"edge {text!r} is no duration")
    return edge


def _torn(detail: str) -> AbsenceError:
    return AbsenceError(pb.ABSENCE_TYPE_SCRAPE_FAILED, names.DURATION_BUCKETS, f"{detail}: torn page")
