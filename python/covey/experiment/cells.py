"""Arms of every outcome in every cell (segment x variant) at once: two passes of the grouped-moments kernel a batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from covey.errors import InputError
from covey.experiment.design import Missing, Outcome, OutcomeKind
from covey.experiment.effects import Arm, mean_arm, pooled_theta, ratio_arm
from covey.experiment.expressions import evaluate, names_in
from covey.experiment.quantiles import FEWEST_UNITS, quantile_arm
from covey.experiment.survival import survival_arm
from covey.experiment.units import Units
from covey.moments import Moments, grouped_moments
from covey.resampling import poisson_bootstrap
from covey.stats.special import Floats

Codes = NDArray[np.int32]
MOST_GROUPS, MOST_COLUMNS = 64, 8
CENTRING = 1e-14
"""Rounding of a value less the mean, as a share of the mean."""
REPLICATES = 1000
"""Of the bootstrap: its standard error is then known to 2 %."""


class Cells(NamedTuple):
    """One outcome in cells of shape (segments, variants).

    Attributes:
        arm: what each cell comes to, adjusted where there is a covariate.
        raw: the values before any adjustment.
        informative: observations that carry the outcome: not 0, an event, or all where that says nothing.
        rho2: share of the variance that the covariate explains; 0 without one.
        covariate: means of the covariate as cells of their own, to see whether arms differed before; None without one.
    """

    arm: Arm
    raw: Floats
    informative: Floats
    rho2: float = 0.0
    covariate: Arm | None = None


@dataclass(slots=True)
class _Batch:
    """Columns that one call of the kernel takes."""

    include: NDArray[np.bool_] | None
    columns: dict[str, Floats] = field(default_factory=dict)
    centres: dict[str, float] = field(default_factory=dict)
    pairs: list[tuple[str, str]] = field(default_factory=list)
    outcomes: list[tuple[Outcome, list[str]]] = field(default_factory=list)


def cells_of(
    units: Units, outcomes: Sequence[Outcome], segment: Codes | None = None, segment_count: int = 1
) -> dict[str, Cells]:
    """Every outcome but hazards, by its name, in cells of shape (segment_count, variants).

    Args:
        units: the table.
        outcomes: which.
        segment: number of each unit's segment, shape (n,); None: one segment.
        segment_count: how many there are.

    Raises:
        InputError: as `Units.values`.
    """
    arms = len(units.variants)
    codes = units.codes if segment is None else (segment * np.int32(arms) + units.codes).astype(np.int32)
    shape = (segment_count, arms)
    found: dict[str, Cells] = {}
    by_moments = [o for o in outcomes if o.kind in {OutcomeKind.mean, OutcomeKind.proportion, OutcomeKind.ratio}]
    for batch in _batches(units, by_moments):
        moments = _moments(batch, codes, shape[0] * arms, units.design.threads)
        for outcome, names in batch.outcomes:
            found[outcome.name] = _from_moments(outcome, names, batch, moments, codes, shape)
    others = [o for o in outcomes if o.name not in found and not o.is_of_hazards]
    places = rows_by_code(codes, shape[0] * arms) if others else []
    for outcome in others:
        if outcome.kind is OutcomeKind.formula:
            found[outcome.name] = _bootstrapped(units, outcome, codes, shape)
        else:
            found[outcome.name] = _cell_by_cell(units, outcome, places, shape)
    return found


def rows_by_code(codes: Codes, count: int) -> list[NDArray[np.intp]]:
    """The rows of each code below `count`, in their order."""
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.cumsum(np.bincount(codes, minlength=count))[:-1])


def _batches(units: Units, outcomes: Iterable[Outcome]) -> Iterator[_Batch]:
    """As few as the kernel's eight columns allow; an outcome that leaves units out has one of its own."""
    batch = _Batch(None)
    for outcome in outcomes:
        columns = list(units.values(outcome))
        covariate = units.covariate(outcome)
        if covariate is not None:
            columns.append(covariate)
        include = None
        if outcome.missing is Missing.drop:
            include = np.isfinite(columns[0]) & np.isfinite(columns[-1])
            include = None if include.all() else include
            columns = [column if include is None else np.where(include, column, 0.0) for column in columns]
        if include is not None:
            alone = _Batch(include)
            _enter(alone, outcome, columns)
            yield alone
            continue
        if len(batch.columns) + len(columns) > MOST_COLUMNS:
            yield batch
            batch = _Batch(None)
        _enter(batch, outcome, columns)
    if batch.columns:
        yield batch


def _enter(batch: _Batch, outcome: Outcome, columns: list[Floats]) -> None:
    names = [f"{outcome.name}[{place}]" for place in range(len(columns))]
    for name, column in zip(names, columns, strict=True):
        # Centred: sums of squares of values far from 0 would lose the digits of their variance.
        centre = float(column.mean() if batch.include is None else column[batch.include].mean())
        batch.centres[name] = centre
        batch.columns[name] = column - centre
    batch.pairs += [(a, b) for i, a in enumerate(names) for b in names[i:]]
    batch.outcomes.append((outcome, names))


def _moments(batch: _Batch, codes: Codes, groups: int, threads: int) -> Moments:
    """Of all groups, 64 at a time."""
    parts = []
    for first in range(0, groups, MOST_GROUPS):
        count = min(MOST_GROUPS, groups - first)
        include, index = batch.include, codes
        if groups > MOST_GROUPS:
            inside = (codes >= first) & (codes < first + count)
            index = np.where(inside, codes - first, 0).astype(np.int32)
            include = inside if include is None else inside & include
        parts.append(
            grouped_moments(batch.columns, index, count, products=batch.pairs, include=include, threads=threads)
        )
    return Moments(
        parts[0].names,
        parts[0].pairs,
        np.concatenate([part.count for part in parts]),
        np.concatenate([part.sum for part in parts]),
        np.concatenate([part.product for part in parts]),
    )


def _from_moments(
    outcome: Outcome, names: list[str], batch: _Batch, moments: Moments, codes: Codes, shape: tuple[int, int]
) -> Cells:
    n = moments.count.reshape(shape).astype(np.float64)
    place = {name: moments.names.index(name) for name in names}

    def mean(name: str) -> Floats:
        return moments.mean[:, place[name]].reshape(shape) + batch.centres[name]

    def covariance(a: str, b: str) -> Floats:
        found = moments.covariance(a, b).reshape(shape)
        # What centring leaves of a constant is no variance.
        return np.where(np.abs(found) <= CENTRING**2 * abs(batch.centres[a] * batch.centres[b]), 0.0, found)

    y = names[0]
    column = batch.columns[y]
    is_there = column != -batch.centres[y] if batch.include is None else (column != -batch.centres[y]) & batch.include
    informative = np.bincount(codes[is_there], minlength=n.size).reshape(shape).astype(np.float64)
    if outcome.kind is OutcomeKind.ratio:
        d = names[1]
        arm = ratio_arm(n, mean(y), mean(d), covariance(y, y), covariance(d, d), covariance(y, d))
        return Cells(arm, arm.value, informative)
    if len(names) == 1:
        value = mean(y)
        if outcome.kind is OutcomeKind.proportion:
            with np.errstate(invalid="ignore"):
                value = np.rint(value * n) / n  # a count over a count, whatever the centring rounded
                return Cells(mean_arm(n, value, value * (1 - value) * n / (n - 1)), value, informative)
        return Cells(mean_arm(n, value, covariance(y, y)), value, informative)
    x = names[1]
    totals = {pair: float(moments.product[:, i].sum()) for i, pair in enumerate(moments.pairs)}
    sums = {name: float(moments.sum[:, place[name]].sum()) for name in names}
    theta, rho2 = pooled_theta(
        sums[y], sums[x], totals[place[y], place[y]], totals[place[x], place[x]], totals[place[y], place[x]],
        max(float(n.sum()), 2.0),
    )  # fmt: skip
    # Within its segment: an arm's adjusted value stays near what it was.
    with np.errstate(invalid="ignore", divide="ignore"):
        overall = np.nansum(np.where(n > 0, mean(x), 0.0) * n, axis=1, keepdims=True) / n.sum(axis=1, keepdims=True)
    shift = mean(x) - overall
    arm = mean_arm(n, mean(y), covariance(y, y), shift, theta, covariance(y, x), covariance(x, x))
    return Cells(arm, mean(y), informative, float(rho2), Arm(mean(x), covariance(x, x), n))


def _cell_by_cell(units: Units, outcome: Outcome, places: list[NDArray[np.intp]], shape: tuple[int, int]) -> Cells:
    columns = units.values(outcome)
    arms = np.full((3, len(places)), np.nan)
    informative = np.zeros(len(places))
    for cell, rows in enumerate(places):
        mine = [column[rows] for column in columns]
        known = np.isfinite(mine[0]) & np.isfinite(mine[-1])
        mine = [column[known] for column in mine]
        arms[2, cell] = len(mine[0])
        if outcome.kind is OutcomeKind.quantile:
            informative[cell] = len(mine[0])
            if len(mine[0]) >= FEWEST_UNITS:
                arms[:, cell] = [float(part) for part in quantile_arm(mine[0], outcome.quantile)]
        elif len(mine[0]):
            informative[cell] = mine[1].sum()
            assert outcome.horizon is not None
            try:
                arms[:, cell] = [float(part) for part in survival_arm(mine[0], mine[1], outcome.horizon)]
            except InputError:
                if shape[0] == 1:
                    raise
    arm = Arm(*(part.reshape(shape) for part in arms))
    return Cells(arm, arm.value, informative.reshape(shape))


def _bootstrapped(units: Units, outcome: Outcome, codes: Codes, shape: tuple[int, int]) -> Cells:
    names = names_in(outcome.column)
    columns = dict(zip(names, (np.ascontiguousarray(column) for column in units.values(outcome)), strict=True))
    include = np.logical_and.reduce([np.isfinite(column) for column in columns.values()])
    columns = {name: np.where(include, column, 0.0) for name, column in columns.items()}
    groups = shape[0] * shape[1]
    value, variance, count = (np.full(groups, np.nan) for _ in range(3))
    hashes = units.id_hashes()
    for first in range(0, groups, MOST_GROUPS):
        size = min(MOST_GROUPS, groups - first)
        inside = include & (codes >= first) & (codes < first + size)
        index = np.where(inside, codes - first, 0).astype(np.int32)
        threads = units.design.threads
        whole = grouped_moments(columns, index, size, products="none", include=inside, threads=threads)
        drawn = poisson_bootstrap(
            columns, hashes, seed=units.design.seed, replicates=REPLICATES, group_index=index, group_count=size,
            include=inside, threads=threads,
        )  # fmt: skip
        part = slice(first, first + size)
        value[part] = evaluate(outcome.column, dict(zip(names, whole.mean.T, strict=True)))
        replicated = evaluate(outcome.column, dict(zip(names, np.moveaxis(drawn.mean, -1, 0), strict=True)))
        count[part] = whole.count
        with np.errstate(invalid="ignore"):
            variance[part] = replicated.var(axis=1, ddof=1) * whole.count
    arm = Arm(value.reshape(shape), variance.reshape(shape), count.reshape(shape))
    return Cells(arm, arm.value, arm.n)
