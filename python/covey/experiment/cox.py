"""Proportional hazards: Cox's partial likelihood by Newton's method."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from covey.errors import InputError
from covey.experiment.chances import log_p_normal
from covey.stats.special import Floats

Ties = Literal["efron", "breslow"]

MOST_STEPS = 50
_CONVERGED = 1e-10
_LARGEST_COEFFICIENT = 30.0


class CoxFit(NamedTuple):
    """A fitted model.

    Attributes:
        coefficients: ln hazard ratio per unit of each covariate, shape (p,).
        covariance: of the coefficients, the inverse of the information, shape (p, p).
        log_likelihood: partial, at the coefficients.
        null_log_likelihood: with all coefficients 0.
        events: that the likelihood is made of.
        steps: of Newton's method.
    """

    coefficients: Floats
    covariance: Floats
    log_likelihood: float
    null_log_likelihood: float
    events: int
    steps: int

    @property
    def standard_errors(self) -> Floats:
        """Of the coefficients."""
        return np.asarray(np.sqrt(np.diag(self.covariance)))

    @property
    def log_p(self) -> Floats:
        """Ln p of each coefficient, by Wald's test."""
        return log_p_normal(self.coefficients / self.standard_errors)


class _Sorted(NamedTuple):
    """The data in the order that the sums over those at risk need."""

    x: Floats
    first_at_risk: NDArray[np.intp]
    event_rows: NDArray[np.intp]
    tie_of_event: NDArray[np.intp]
    tie_starts: NDArray[np.intp]
    tie_share: Floats


def cox(
    duration: NDArray[np.float64], event: NDArray[np.float64], covariates: NDArray[np.float64], ties: Ties = "efron"
) -> CoxFit:
    """Maximise Cox's partial likelihood.

    Args:
        duration: shape (n,), at least 0.
        event: shape (n,), 1 where the event came, 0 where the unit was censored.
        covariates: shape (n, p), finite.
        ties: how events at one time share those at risk: Efron (1977) or Breslow (1974).

    Raises:
        InputError: no event, a covariate that is constant or a sum of others, or one that parts those with an event
            from those without (the estimate has no end).

    Source: Cox (1972), "Regression models and life-tables".
    """
    x = np.asarray(covariates, dtype=np.float64)
    x = x[:, None] if x.ndim == 1 else x
    if not event.any():
        raise InputError("no event came: every unit was censored, and hazards cannot be compared")
    centre, scale = x.mean(axis=0), x.std(axis=0)
    if (scale <= 0).any():
        raise InputError(f"covariate {int((scale <= 0).argmax())} is the same for all units")
    data = _sorted(duration, event, (x - centre) / scale, ties)
    beta = np.zeros(x.shape[1])
    value, gradient, information = _likelihood(data, beta)
    null, steps = value, 0
    while steps < MOST_STEPS:
        steps += 1
        try:
            move = np.linalg.solve(information, gradient)
        except np.linalg.LinAlgError:
            raise InputError(
                "the events do not tell: covariates are sums of each other, or do not vary among those at risk"
            ) from None
        factor = 1.0
        while True:
            trial = beta + factor * move
            found = _likelihood(data, trial)
            if np.isfinite(found[0]) and found[0] >= value - 1e-12 * abs(value):
                break
            factor /= 2
            if factor < 1e-8:
                raise InputError("the likelihood has no maximum that Newton's method finds")
        change = abs(found[0] - value)
        beta, (value, gradient, information) = trial, found
        if np.abs(beta).max() > _LARGEST_COEFFICIENT:
            raise InputError(
                "a covariate parts the units with an event from those without: the hazard ratio has no estimate"
            )
        if change <= _CONVERGED * (abs(value) + 1e-10) and np.abs(factor * move).max() < 1e-8:
            break
    inverse = np.linalg.inv(information)
    if not (np.diag(inverse) > 0).all() or np.diag(inverse).max() > 1e6:
        raise InputError("the data do not say how the hazards differ: one arm has no event")
    return CoxFit(beta / scale, inverse / np.outer(scale, scale), value, null, int(event.sum()), steps)


def _sorted(duration: Floats, event: Floats, x: Floats, ties: Ties) -> _Sorted:
    # Longest first, so that sums over those at risk are running sums; events before censored ones of the same time.
    order = np.lexsort((-event, -duration))
    time, came = duration[order], event[order] > 0
    last_of_time = np.searchsorted(-time, -time, side="right") - 1
    rows = np.flatnonzero(came)
    changes = np.flatnonzero(np.diff(time[rows], prepend=np.inf) != 0)
    sizes = np.diff(np.append(changes, len(rows)))
    tie_of_event = np.repeat(np.arange(len(changes)), sizes)
    place = np.arange(len(rows)) - changes[tie_of_event]
    share = place / sizes[tie_of_event] if ties == "efron" else np.zeros(len(rows))
    return _Sorted(x[order], last_of_time[rows], rows, tie_of_event, changes, share)


def _likelihood(data: _Sorted, beta: Floats) -> tuple[float, Floats, Floats]:
    """Value, gradient and information of the log partial likelihood."""
    linear = data.x @ beta
    shift = linear.max()
    weight = np.exp(linear - shift)
    p = data.x.shape[1]
    weighted = weight[:, None] * data.x
    pairs = [(i, j) for i in range(p) for j in range(i, p)]
    # Columns: weight, weight x_i, weight x_i x_j; sums over those at risk less a share of those with the event.
    columns = np.column_stack([weight, weighted, *(weighted[:, i] * data.x[:, j] for i, j in pairs)])
    at_risk = np.cumsum(columns, axis=0)[data.first_at_risk]
    tied = np.add.reduceat(columns[data.event_rows], data.tie_starts, axis=0)[data.tie_of_event]
    sums = at_risk - data.tie_share[:, None] * tied
    total = sums[:, 0]
    means = sums[:, 1 : p + 1] / total[:, None]
    value = float(linear[data.event_rows].sum() - (np.log(total) + shift).sum())
    gradient = data.x[data.event_rows].sum(axis=0) - means.sum(axis=0)
    information = np.empty((p, p))
    for k, (i, j) in enumerate(pairs):
        information[i, j] = information[j, i] = float((sums[:, p + 1 + k] / total - means[:, i] * means[:, j]).sum())
    return value, gradient, information
