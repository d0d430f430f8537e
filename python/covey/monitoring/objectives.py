"""What the service promises its callers, and how fast a burning promise calls people.

Windows, burn rates and budget shares are those of B. Beyer et al., The Site Reliability Workbook (2018), chapter 5,
"Alerting on SLOs", table 5-8: multiwindow, multi-burn-rate alerts.
"""

from __future__ import annotations

from dataclasses import dataclass

_SHORTEST_EDGE_SECONDS = 0.001
_LONGEST_EDGE_SECONDS = 60.0
_GROWTH = 1.05


@dataclass(frozen=True, slots=True)
class Burn:
    """One row of that table.

    Attributes:
        long_window: over which the budget burns; a Prometheus duration.
        short_window: a twelfth of it: while it burns too, the alert fires, and soon after it ends, so does the alert.
        long_hours: the same in hours.
        budget_share: of the period's budget that is gone when the alert fires.
        severity: "page" or "ticket".
    """

    long_window: str
    short_window: str
    long_hours: float
    budget_share: float
    severity: str

    def rate(self, period_days: float) -> float:
        """How many times faster than allowed: budget share x period / long window."""
        return self.budget_share * period_days * 24 / self.long_hours


BURNS = (
    Burn("1h", "5m", 1, 0.02, "page"),
    Burn("6h", "30m", 6, 0.05, "page"),
    Burn("3d", "6h", 72, 0.10, "ticket"),
)
WINDOWS = tuple(sorted({window for burn in BURNS for window in (burn.long_window, burn.short_window)}))


@dataclass(frozen=True, slots=True)
class Objectives:
    """The promise.

    Attributes:
        answered_share: of the requests that are answered without a failure; shed requests are not among them.
        fast_share: of the answers that come within `latency_seconds`.
        latency_seconds: see there.
        period_days: over which both hold.

    Raises:
        ValueError: no share between 0 and 1, or a latency beyond the histogram.
    """

    answered_share: float = 0.999
    fast_share: float = 0.99
    latency_seconds: float = 0.2
    period_days: float = 30.0

    def __post_init__(self) -> None:
        for name, share in (("answered", self.answered_share), ("fast", self.fast_share)):
            if not 0 < share < 1:
                raise ValueError(f"the {name} share is {share:g}; expected more than 0 and less than 1, such as 0.999")
        if not _SHORTEST_EDGE_SECONDS <= self.latency_seconds <= _LONGEST_EDGE_SECONDS:
            raise ValueError(f"a latency of {self.latency_seconds:g} s; expected 1 ms to 60 s")
        if not self.period_days > 0:
            raise ValueError(f"a period of {self.period_days:g} days; expected more than 0")

    @property
    def failure_budget(self) -> float:
        """Share of the requests that may fail."""
        return round(1 - self.answered_share, 12)

    @property
    def slow_budget(self) -> float:
        """Share of the answers that may be slow."""
        return round(1 - self.fast_share, 12)

    @property
    def edge(self) -> str:
        """The `le` of the histogram's longest interval that ends within the latency: at most 5 % stricter."""
        return edge_within(self.latency_seconds)


def edge_within(seconds: float) -> str:
    """The largest upper edge of the server's duration histogram up to so many seconds, as its page writes it.

    The grid begins at 1 ms, each edge is 5 % longer than the one before, and the last is 60 s (docs/metrics.md).
    """
    if seconds >= _LONGEST_EDGE_SECONDS:
        return f"{_LONGEST_EDGE_SECONDS:.6g}"
    found = label = f"{_SHORTEST_EDGE_SECONDS:.6g}"
    step = 0
    while float(label) <= seconds:
        found = label
        step += 1
        label = f"{_SHORTEST_EDGE_SECONDS * _GROWTH**step:.6g}"
    return found
