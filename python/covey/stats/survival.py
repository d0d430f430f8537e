"""How long until something happens, where for some it has not happened yet: survival curves and the log-rank test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from covey.stats.checked import numbers, probability
from covey.stats.special import Floats, special

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class LifeTable:
    """What happened at each distinct duration, ascending; every array has shape (t,).

    Attributes:
        durations: at which someone had the event or was last seen.
        at_risk: units under observation just before it.
        events: units that had the event at it.
        censored: units last seen at it, without the event.
    """

    durations: Floats
    at_risk: Counts
    events: Counts
    censored: Counts


@dataclass(frozen=True, eq=False, slots=True)
class SurvivalCurve:
    """A Kaplan-Meier estimate at the durations of its events, ascending; every array has shape (e,).

    Attributes:
        durations: at which the curve steps down.
        at_risk: units under observation just before it.
        events: units that had the event.
        survival: share that is beyond this duration.
        standard_error: of `survival`, Greenwood; 0 where nobody is left.
        low: lower limit of the pointwise log-log band.
        high: upper limit.
        confidence: of the band at each single duration; not of the whole curve.
        table: what the curve is made of.
    """

    durations: Floats
    at_risk: Counts
    events: Counts
    survival: Floats
    standard_error: Floats
    low: Floats
    high: Floats
    confidence: float
    table: LifeTable

    @property
    def unit_count(self) -> int:
        """Units that the curve is made of."""
        return int(self.table.at_risk[0]) if len(self.table.at_risk) else 0

    @property
    def longest(self) -> float:
        """The longest duration of anyone: the curve says nothing beyond it; 0 without units."""
        return float(self.table.durations[-1]) if len(self.table.durations) else 0.0

    def at(self, durations: ArrayLike) -> tuple[Floats, Floats, Floats]:
        """Survival, low and high at any durations; NaN beyond `longest`, where the data do not say.

        Before the first event survival is 1 and Greenwood's variance 0, however few units there are. The lower limit
        is then that of no event among the n units still at risk, (alpha / 2)^(1 / n) (Clopper and Pearson, 1934).
        """
        wanted = numbers(durations, "durations")
        step = np.searchsorted(self.durations, wanted, side="right")
        beyond = wanted > self.longest
        later = np.minimum(np.searchsorted(self.table.durations, wanted), len(self.table.durations) - 1)
        at_risk = self.table.at_risk[later] if len(self.table.at_risk) else np.ones(wanted.shape)
        eventless = ((1.0 - self.confidence) / 2.0) ** (1.0 / at_risk)
        survival, low, high = (np.concatenate([[1.0], values])[step] for values in (self.survival, self.low, self.high))
        low = np.where(step == 0, eventless, low)
        return np.where(beyond, np.nan, survival), np.where(beyond, np.nan, low), np.where(beyond, np.nan, high)

    def quantile(self, share: float) -> float:
        """The duration by which `share` of the units have had the event (0.5: the median); NaN where it is not reached.

        Raises:
            ValueError: a share that is not strictly between 0 and 1.
        """
        reached = self.survival <= 1.0 - probability(share, "share") + 1e-12
        return float(self.durations[reached.argmax()]) if reached.any() else float("nan")

    def restricted_mean(self, horizon: float) -> float:
        """Mean duration up to `horizon`: the area under the curve. NaN where the horizon lies beyond `longest`.

        Source: Royston and Parmar (2013), restricted mean survival time.
        """
        if not 0.0 <= horizon <= self.longest:
            return float("nan")
        inside = self.durations < horizon
        edges = np.concatenate([[0.0], self.durations[inside], [horizon]])
        heights = np.concatenate([[1.0], self.survival[inside]])
        return float((np.diff(edges) * heights).sum())


@dataclass(frozen=True, slots=True)
class LogRank:
    """Whether groups have one hazard.

    Attributes:
        statistic: chi-squared.
        degrees_of_freedom: groups that had anyone at risk, less one.
        p_value: of the statistic; 1 where there is nothing to compare.
        observed: events per group.
        expected: events per group if all had one hazard.
    """

    statistic: float
    degrees_of_freedom: int
    p_value: float
    observed: tuple[float, ...]
    expected: tuple[float, ...]


def life_table(durations: ArrayLike, observed: ArrayLike) -> LifeTable:
    """Units counted by duration.

    Args:
        durations: time to the event, or to when the unit was last seen without it; shape (n,), 0 or more, any unit.
        observed: True where the event happened, shape (n,).

    Raises:
        ValueError: negative durations, numbers that are not finite, or arrays of different lengths.
    """
    spans, happened = _units(durations, observed)
    times, place = np.unique(spans, return_inverse=True)
    events = np.bincount(place, weights=happened, minlength=len(times)).astype(np.int64)
    leaving = np.bincount(place, minlength=len(times)).astype(np.int64)
    at_risk = leaving[::-1].cumsum()[::-1]
    return LifeTable(times, at_risk, events, leaving - events)


def kaplan_meier(durations: ArrayLike, observed: ArrayLike, confidence: float = 0.95) -> SurvivalCurve:
    """The share that is still without the event, by duration, with a band.

    Args:
        durations: as `life_table`.
        observed: as `life_table`.
        confidence: of the band at each duration.

    Raises:
        ValueError: as `life_table`, or a confidence that is not strictly between 0 and 1.
    """
    return kaplan_meier_of(life_table(durations, observed), confidence)


def kaplan_meier_of(table: LifeTable, confidence: float = 0.95) -> SurvivalCurve:
    """`kaplan_meier` of units that are counted already; none at all give an empty curve.

        S(t) = prod_{t_i <= t} (1 - d_i / n_i);  G(t) = sum_{t_i <= t} d_i / (n_i (n_i - d_i))

    with d_i events among n_i at risk. The standard error is S sqrt(G) (Greenwood). The band, S^exp(+-z sqrt(G) / ln S),
    is symmetric for ln(-ln S), so that it stays within [0, 1] and holds its level down to some tens of units (Borgan
    and Liestøl, 1990). Where S = 0 Greenwood's variance is not defined: the band there is 0 up to the limit before,
    since survival never rises.

    Source: Kaplan and Meier (1958); Greenwood (1926); Kalbfleisch and Prentice (1980) for the log-log transform.
    """
    z = float(special().ndtri((1.0 + probability(confidence, "confidence")) / 2.0))
    steps = table.events > 0
    at_risk, events = table.at_risk[steps], table.events[steps]
    survival = np.asarray(np.cumprod(1.0 - events / at_risk), dtype=np.float64)
    left = at_risk > events
    terms = events / (at_risk * np.where(left, at_risk - events, 1.0))
    variance = np.where(left, np.cumsum(terms), 0.0)
    log_survival = np.log(np.where(left, survival, 0.5))
    spread = z * np.sqrt(variance) / -log_survival
    low = np.where(left, np.exp(log_survival * np.exp(spread)), 0.0)
    high = np.where(left, np.exp(log_survival * np.exp(-spread)), np.nan)
    if len(high) and not left[-1]:  # only the last step can take everybody
        high[-1] = high[-2] if len(high) > 1 else 1.0
    return SurvivalCurve(
        durations=table.durations[steps],
        at_risk=at_risk,
        events=events,
        survival=survival,
        standard_error=survival * np.sqrt(variance),
        low=low,
        high=high,
        confidence=confidence,
        table=table,
    )


def log_rank(durations: ArrayLike, observed: ArrayLike, groups: ArrayLike) -> LogRank:
    """The log-rank test of two or more groups.

    At every duration with events the d events among n at risk fall to the groups as a draw without replacement would
    let them if all had one hazard; observed less expected, summed, is compared with the hypergeometric covariance. Has
    the most power where the ratio of the hazards is the same at all durations; crossing curves can cancel.

    Args:
        durations: as `life_table`.
        observed: as `life_table`.
        groups: numbers 0, 1, ... of the groups, shape (n,).

    Raises:
        ValueError: as `life_table`; groups that are no whole numbers from 0 on.

    Source: Mantel (1966); Peto and Peto (1972).
    """
    spans, happened = _units(durations, observed)
    members = np.asarray(groups)
    if members.shape != spans.shape:
        raise ValueError(f"groups must have shape {spans.shape}, one entry per unit; found {members.shape}")
    if members.size and (not np.issubdtype(members.dtype, np.integer) or members.min() < 0):
        raise ValueError("groups must be whole numbers from 0 on")
    count = int(members.max()) + 1 if members.size else 0
    times, place = np.unique(spans, return_inverse=True)
    cells = place * max(count, 1) + members
    shape = (len(times), max(count, 1))
    leaving = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)
    events = np.bincount(cells, weights=happened, minlength=shape[0] * shape[1]).reshape(shape)
    return log_rank_of(leaving[::-1].cumsum(axis=0)[::-1], events)


def log_rank_of(at_risk: ArrayLike, events: ArrayLike) -> LogRank:
    """`log_rank` of units that are counted already.

    Args:
        at_risk: units of each group just before each duration, shape (t, groups).
        events: units of each group that had the event, same shape.

    Raises:
        ValueError: other shapes, negative counts, or more events than units.
    """
    risk, happened = numbers(at_risk, "at_risk"), numbers(events, "events")
    if risk.ndim != 2 or risk.shape != happened.shape:
        raise ValueError(f"at_risk and events must have one shape (t, groups); found {risk.shape}, {happened.shape}")
    if (happened < 0).any() or (happened > risk).any():
        raise ValueError("events must not be negative nor exceed at_risk")
    d, n = happened.sum(axis=1), risk.sum(axis=1)
    used = d > 0
    happened, d, n = happened[used], d[used], n[used]
    share = risk[used] / n[:, np.newaxis]
    expected = (d[:, np.newaxis] * share).sum(axis=0)
    observed = happened.sum(axis=0)
    # Hypergeometric: d (n - d) / (n - 1) * (p_i [i = j] - p_i p_j); nothing varies where one unit is left.
    factor = d * (n - d) / np.maximum(n - 1.0, 1.0)
    covariance = np.diag((factor[:, np.newaxis] * share).sum(axis=0)) - np.einsum("t,ti,tj->ij", factor, share, share)
    compared = np.flatnonzero(np.diag(covariance) > 0)[1:]  # the differences sum to 0: one group follows from the rest
    if not len(compared):
        return LogRank(0.0, 0, 1.0, tuple(observed.tolist()), tuple(expected.tolist()))
    difference = (observed - expected)[compared]
    statistic = float(difference @ np.linalg.pinv(covariance[np.ix_(compared, compared)], hermitian=True) @ difference)
    p_value = float(special().chdtrc(len(compared), statistic))
    return LogRank(statistic, len(compared), p_value, tuple(observed.tolist()), tuple(expected.tolist()))


def _units(durations: ArrayLike, observed: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    spans = numbers(durations, "durations")
    happened = np.asarray(observed)
    if spans.ndim != 1 or happened.shape != spans.shape:
        raise ValueError(f"durations and observed must have one shape (n,); found {spans.shape} and {happened.shape}")
    if (spans < 0).any():
        raise ValueError(f"durations must not be negative; found {spans.min():g}")
    if not np.isin(happened, (0, 1)).all():
        raise ValueError("observed must be True where the event happened and False where it did not")
    return spans, happened.astype(np.bool_)
