"""Printed rates against the counters beside them: which cannot come from so few requests."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal

from covey.rollout.samples import Samples

MOST_SEARCHED = 1_000_000


def contradictions(samples: Samples, variant: str) -> list[str]:
    """What the printed columns of a variant say that its counters cannot, in sentences; empty where all agree.

    A printed error rate (per cent) is possible where some whole number of errors, of the requests of the interval or
    of all requests so far, rounds to it.
    """
    return [*_impossible_rates(samples, variant), *_quantiles(samples, variant)]


def _impossible_rates(samples: Samples, variant: str) -> Iterator[str]:
    for column in samples.summaries:
        if "error_rate" not in column:
            continue
        requests = errors = 0
        printed: list[Decimal] = []
        for sample in samples.samples:
            counted = sample.variants.get(variant)
            if counted is None:
                continue
            requests += counted.counts["requests"]
            errors += counted.counts["errors"]
            if column in counted.summaries:
                rate = Decimal(counted.summaries[column])
                counts = {counted.counts["requests"], requests}
                if not any(_is_possible(rate, count) for count in counts):
                    printed.append(rate)
        if printed and requests:
            values = ", ".join(f"{rate} %" for rate in printed)
            first = printed[0]
            yield (
                f"The printed error rates {values} cannot come from these counters: {first} % of all {requests:,} "
                f"requests is {float(first) * requests / 100:.2f} errors, one error would already be "
                f"{100 / requests:.3g} %, and {errors:,} were counted. {_smallest(first)}"
                "The counters are judged, the printed rates are not."
            )


def _smallest(rate: Decimal) -> str:
    """From how many requests on such a rate can be printed at all."""
    if rate <= 0:
        return ""
    start = int(100 / (rate + _half_step(rate)))
    for count in range(max(1, start), MOST_SEARCHED):
        if _is_possible(rate, count):
            return f"The smallest number of requests that can print {rate} % is {count:,}. "
    return ""


def _half_step(rate: Decimal) -> Decimal:
    return Decimal(1).scaleb(int(rate.as_tuple().exponent)) / 2


def _is_possible(rate: Decimal, requests: int) -> bool:
    if requests <= 0:
        return False
    step = Decimal(1).scaleb(min(0, int(rate.as_tuple().exponent)))
    nearest = int(rate * requests / 100)
    for errors in (nearest, nearest + 1):
        if errors > requests:
            continue
        exact = Decimal(100 * errors) / requests
        if rate in {exact.quantize(step, ROUND_HALF_EVEN), exact.quantize(step, ROUND_HALF_UP)}:
            return True
    return False


def _quantiles(samples: Samples, variant: str) -> Iterator[str]:
    named = [name for name in samples.summaries if "error_rate" not in name and "availability" not in name]
    counts = [s.variants[variant].counts["requests"] for s in samples.samples if variant in s.variants]
    if not named or not counts:
        return
    text = f"{', '.join(named)}: printed summaries are no evidence, counters only."
    if min(counts) < 200:
        text += f" The p99 of {min(counts):,} requests is the time of its slowest one or two."
    yield f"{text} To judge a latency, count the requests slower than its limit: a column such as over_200ms."
