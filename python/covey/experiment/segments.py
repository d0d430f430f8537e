"""The deep dive: which segments gain, which are harmed, and whether they differ at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from covey.errors import InputError
from covey.experiment.analysis import compare_all
from covey.experiment.arrow_columns import Levels
from covey.experiment.cells import cells_of
from covey.experiment.chances import log_p_chi2
from covey.experiment.compared import Compared
from covey.experiment.design import Design
from covey.experiment.readings import N_STAR
from covey.experiment.recommending import recommend
from covey.experiment.segment_results import (
    Balance,
    Interaction,
    SegmentRow,
    SegmentsResult,
    SegmentTable,
    SegmentVerdict,
)
from covey.experiment.split import SRM_ALPHA, check_split
from covey.experiment.spread import harm_log_e, interaction_log_p, shrunken, spread_of
from covey.experiment.units import Units, read_units
from covey.stats import e_bh, holm
from covey.stats.means import mixture_rate

if TYPE_CHECKING:
    import pyarrow as pa

REVERSAL_Z = 3.0
"""Standard errors by which the effect within segments and the one over all must differ to be called a paradox."""
MOST_CELLS = 400


def analyze_segments(table: pa.Table | Mapping[str, Any], design: Design) -> SegmentsResult:
    """Effects by segment for every segmentation of the design.

    Args:
        table: an Arrow table, or columns by name; one row per unit.
        design: with at least one segment.

    Raises:
        InputError: no segment is named, or what `analyze` refuses.
    """
    if not design.segments:
        raise InputError("no segment is named", expected="at least one column that parts the units")
    units = read_units(table, design)
    split = check_split(units.variants, units.counts.tolist(), design.planned_shares)
    parts = [(segment.column, units.levels(segment)) for segment in design.segments]
    whole = compare_all(units, design, cells_of(units, design.outcomes))
    balances = tuple(_balance(column, levels, units) for column, levels in parts)
    found = [(column, levels, _compared(units, design, levels)) for column, levels in parts]
    tables = _tables(found, whole, units, design)
    interactions = _interactions(parts, units, design)
    return SegmentsResult(
        len(units), split, balances, tables, interactions, recommend(split, balances, tables, interactions, design)
    )


def _compared(units: Units, design: Design, levels: Levels) -> list[Compared]:
    codes, count = levels.codes.astype(np.int32), len(levels.names)
    return compare_all(units, design, cells_of(units, design.outcomes, codes, count), codes, count)


def _balance(column: str, levels: Levels, units: Units) -> Balance:
    counts = np.bincount(
        levels.codes.astype(np.int64) * len(units.variants) + units.codes,
        minlength=len(levels.names) * len(units.variants),
    ).reshape(len(levels.names), -1)
    counts = counts[counts.sum(axis=1) >= 10].astype(np.float64)
    if len(counts) < 2:
        return Balance(column, 0.0, is_moved=False)
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
    chi2 = float(((counts - expected) ** 2 / expected).sum())
    log_p = float(log_p_chi2(chi2, (len(counts) - 1) * (counts.shape[1] - 1)))
    return Balance(column, log_p, bool(log_p < np.log(SRM_ALPHA)))


def _judged(one: Compared, smallest: int) -> NDArray[np.bool_]:
    """Segments with something to compare and units enough for a normal approximation."""
    large = np.minimum(one.candidate.n, one.control.n) >= smallest
    return np.array([not problem for problem in one.problems]) & large & (one.effect.variance > 0)


def _tables(
    found: Sequence[tuple[str, Levels, list[Compared]]], whole: Sequence[Compared], units: Units, design: Design
) -> tuple[SegmentTable, ...]:
    verdicts = _verdicts([one for _, _, compared in found for one in compared], design)
    tables, place = [], 0
    for column, levels, compared in found:
        for one, overall in zip(compared, whole, strict=True):
            tables.append(_table(column, levels, one, overall, units, design, verdicts[place]))
            place += 1
    tested = [i for i, table in enumerate(tables) if table.spread is not None]
    adjusted = holm([float(tables[i].spread.log_p) for i in tested])  # type: ignore[union-attr]
    by_table = dict(zip(tested, adjusted.tolist(), strict=True))
    return tuple(
        SegmentTable(
            table.column, table.outcome, table.variant, table.rows, table.spread, by_table.get(i), table.overall,
            table.within, table.is_reversed,
        )
        for i, table in enumerate(tables)
    )  # fmt: skip


def _verdicts(all_compared: Sequence[Compared], design: Design) -> list[list[SegmentVerdict]]:
    """HARMED and IMPROVED by e-BH, each over every judged segment of every table: few of the calls are false."""
    log_e: dict[SegmentVerdict, list[float]] = {SegmentVerdict.harmed: [], SegmentVerdict.improved: []}
    places: list[tuple[int, int]] = []
    verdicts = [[SegmentVerdict.too_small] * len(one.problems) for one in all_compared]
    for i, one in enumerate(all_compared):
        judged = _judged(one, design.smallest_segment)
        information = np.where(judged, one.information, 1.0)
        variance = np.where(judged, one.effect.variance, 1.0)
        tau2 = mixture_rate(design.alpha, N_STAR) * variance * information
        # Positive where it is worse: a difference against what is wanted, or a hazard that rises.
        is_up_good = one.outcome.higher_is_better != one.outcome.is_of_hazards
        harm = np.where(judged, one.effect.difference, 0.0) * (-1.0 if is_up_good else 1.0)
        for verdict, sign in ((SegmentVerdict.harmed, 1.0), (SegmentVerdict.improved, -1.0)):
            log_e[verdict] += harm_log_e(sign * harm, variance, tau2)[judged].tolist()
        for place in np.flatnonzero(judged):
            verdicts[i][int(place)] = SegmentVerdict.unclear
            places.append((i, int(place)))
    for verdict, values in log_e.items():
        for k in e_bh(values, design.alpha):
            table, segment = places[int(k)]
            verdicts[table][segment] = verdict
    return verdicts


def _table(
    column: str, levels: Levels, one: Compared, overall: Compared, units: Units, design: Design,
    verdicts: list[SegmentVerdict],
) -> SegmentTable:  # fmt: skip
    judged = _judged(one, design.smallest_segment)
    effects, errors = one.effect.difference[judged], np.sqrt(one.effect.variance[judged])
    spread = spread_of(effects, errors, design.alpha) if judged.sum() >= 2 else None
    drawn = shrunken(effects, errors, spread, design.alpha) if spread is not None else None
    order = np.cumsum(judged) - 1
    rows = []
    for place, name in enumerate(levels.names):
        is_judged = bool(judged[place])
        pulled = [float(part[order[place]]) if drawn is not None and is_judged else None for part in drawn or (0, 0, 0)]  # type: ignore[index]
        rows.append(_row(name, one, place, verdicts[place], pulled, design))
    whole = None if overall.problems[0] else float(overall.effect.difference[0])
    within, is_reversed = _within(one, overall, judged)
    scale = _scale(one)
    return SegmentTable(
        column, one.outcome, units.variants[one.variant], tuple(rows), spread, None,
        None if whole is None else scale(whole), None if within is None else scale(within), is_reversed,
    )  # fmt: skip


def _row(
    name: str, one: Compared, place: int, verdict: SegmentVerdict, pulled: list[float | None], design: Design
) -> SegmentRow:
    scale = _scale(one)
    n_c, n_b = (int(np.nan_to_num(arm.n[place])) for arm in (one.candidate, one.control))
    why = one.problems[place]
    if verdict is SegmentVerdict.too_small and not why:
        why = f"an arm has {min(n_c, n_b)} units; judged from {design.smallest_segment} on"
    base = float(one.raw_control[place])
    has_effect = not one.problems[place]
    numbers = [
        scale(float(value[place])) if has_effect and np.isfinite(value[place]) else None
        for value in (one.effect.difference, one.low, one.high)
    ]
    pulled = [None if value is None else scale(value) for value in pulled]
    log_p = float(one.log_p[place]) if has_effect else None
    return SegmentRow(
        name, n_c, n_b, base if np.isfinite(base) else None, numbers[0], numbers[1], numbers[2], log_p, pulled[0],
        pulled[1], pulled[2], verdict, why,
    )  # fmt: skip


def _within(one: Compared, overall: Compared, judged: NDArray[np.bool_]) -> tuple[float | None, bool]:
    """Effect within segments, weighed by units, and whether it contradicts the overall one.

    Both estimates share their data; the difference of composition has about the variance of the larger, which is what
    the test uses: it calls too few paradoxes rather than too many.
    """
    if not judged.any() or overall.problems[0]:
        return None, False
    weights = one.units[judged] / one.units[judged].sum()
    within = float((weights * one.effect.difference[judged]).sum())
    variance = float((weights**2 * one.effect.variance[judged]).sum())
    whole = float(overall.effect.difference[0])
    error = float(np.sqrt(max(variance, float(overall.effect.variance[0]))))
    return within, bool(within * whole < 0 and abs(within - whole) > REVERSAL_Z * error)


def _interactions(parts: Sequence[tuple[str, Levels]], units: Units, design: Design) -> tuple[Interaction, ...]:
    found = []
    for (first, a), (second, b) in combinations(parts, 2):
        if len(a.names) * len(b.names) > MOST_CELLS:
            continue
        crossed = Levels(
            tuple(f"{x} / {y}" for x in a.names for y in b.names), (a.codes * len(b.names) + b.codes).astype(np.int32)
        )
        for one in _compared(units, design, crossed):
            judged = np.flatnonzero(_judged(one, design.smallest_segment))
            if len(judged) < 4:
                continue
            effects, errors = one.effect.difference[judged], np.sqrt(one.effect.variance[judged])
            q, degrees, log_p = interaction_log_p(effects, errors, judged // len(b.names), judged % len(b.names))
            if degrees > 0:
                found.append(((first, second), one.outcome.name, units.variants[one.variant], q, degrees, log_p))
    adjusted = holm([row[5] for row in found])
    return tuple(Interaction(*row[:5], float(log_p)) for row, log_p in zip(found, adjusted, strict=True))


def _scale(one: Compared) -> Any:
    return (lambda value: float(np.exp(min(value, 700.0)))) if one.outcome.is_of_hazards else float
