"""When calls are sent: a schedule fixed in advance, so that a slow server does not slow its own load down."""

from __future__ import annotations

from typing import Any

import numpy as np

Seconds = np.ndarray[Any, np.dtype[np.float64]]


def constant_arrivals(rate_per_second: float, seconds: float, limit: int) -> Seconds:
    """Send times at equal distances, shape (calls,), in seconds after the start; at most `limit` of them."""
    count = min(int(rate_per_second * seconds), limit)
    return np.arange(count, dtype=np.float64) / rate_per_second


def poisson_arrivals(rate_per_second: float, seconds: float, limit: int, seed: int) -> Seconds:
    """Send times of a Poisson process, shape (calls,), in seconds after the start; at most `limit` of them."""
    expected = rate_per_second * seconds
    # Enough gaps to pass the end with certainty for any practical purpose; what lies beyond is cut.
    gaps = np.random.default_rng(seed).exponential(1.0 / rate_per_second, int(expected + 6 * expected**0.5 + 16))
    times = np.cumsum(gaps)
    return times[times < seconds][:limit]


def quantiles(latencies_seconds: Seconds) -> dict[str, float]:
    """Latency quantiles in milliseconds, three digits; empty without calls."""
    if not len(latencies_seconds):
        return {}
    levels = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "max": 1.0}
    return {name: round(float(np.quantile(latencies_seconds, level)) * 1e3, 3) for name, level in levels.items()}
