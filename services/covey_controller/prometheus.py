"""Counters of a foreign service from a Prometheus server: one question per variant, every sample with its own time."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from covey.v1 import evidence_pb2 as pb
from covey_controller.config import ScrapeLimits
from covey_controller.page import Page
from covey_controller.scrape import AbsenceError, fetch, scrape_failed

LOOK_BACK = "2m"
"""How far back the newest sample of a series may lie to be seen at all; much older than fresh, so that it is STALE."""
_JSON = frozenset({"application/json"})


def query_of(selector: str, series: Collection[str]) -> str:
    """PromQL for every sample of these series in the last minutes.

    A range of raw samples, not an instant: an instant would give old samples the time of the question.
    """
    names = "|".join(re.escape(name) for name in sorted(series))
    return f'{{__name__=~"{names}",{selector.strip().strip("{}").strip().rstrip(",")}}}[{LOOK_BACK}]'


def ask(
    address: str, selector: str, series: Collection[str], *, limits: ScrapeLimits, oldest_timestamp: float
) -> list[tuple[str, Page]]:
    """The newest samples of each instance that a selector names.

    Args:
        address: http://HOST:PORT of the server.
        selector: PromQL labels in braces.
        series: names of the series.
        limits: of the answer.
        oldest_timestamp: Unix seconds; samples from before are stale.

    Returns:
        By instance, sorted.

    Raises:
        AbsenceError: SCRAPE_FAILED where no whole answer comes, NO_SERIES where the selector names no process.
    """
    query = query_of(selector, series)
    url = f"{address.rstrip('/')}/api/v1/query?{urlencode({'query': query})}"
    instances: dict[str, list[tuple[str, Mapping[str, str], float, float]]] = {}
    for count, (labels, value, stamp) in enumerate(_newest(fetch(url, limits, _JSON)), start=1):
        if count > limits.lines:
            raise scrape_failed(f"more than {limits.lines} series; narrow the selector {selector}")
        name = labels.pop("__name__", "")
        instances.setdefault(labels.get("instance", ""), []).append((name, labels, value, stamp))
    if not instances:
        raise AbsenceError(pb.ABSENCE_TYPE_NO_SERIES, "", f"{address} knows nothing of {selector}")
    return [
        (instance, Page.of_samples(samples, oldest_timestamp=oldest_timestamp))
        for instance, samples in sorted(instances.items())
    ]


def _newest(text: str) -> Iterator[tuple[dict[str, str], float, float]]:
    try:
        document: Any = json.loads(text)
        if document["status"] != "success" or document["data"]["resultType"] != "matrix":
            raise scrape_failed(f"it answers {text[:200]!r}")
        for series in document["data"]["result"]:
            stamp, value = series["values"][-1]
            labels = {str(name): str(word) for name, word in series["metric"].items()}
            yield labels, float(value), float(stamp)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise scrape_failed(f"it is no answer of Prometheus ({type(error).__name__}): {text[:200]!r}") from error
