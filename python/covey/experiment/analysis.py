"""The analysis of an experiment: the split first, then every outcome of every variant, then what stands among so many.

>>> import covey.experiment as experiment
>>> design = experiment.Design((experiment.parse_outcome("paid=proportion:paid"),))
>>> result = experiment.analyze({"unit": [1, 2, 3, 4], "variant": list("aabb"), "paid": [0, 1, 1, 1]}, design)
>>> result.comparisons[0].verdict.value
'UNDECIDED'
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from covey.experiment.business import business_lines
from covey.experiment.cells import Cells, cells_of
from covey.experiment.chances import p_words
from covey.experiment.compared import Compared, compare_cells, compare_hazards
from covey.experiment.design import DecideBy, Design, Missing
from covey.experiment.effects import effect_of, fixed_log_p
from covey.experiment.judging import Judged, judge, n_star_of, needed_for, needed_for_minimum, verdict_of
from covey.experiment.readings import Look, look_of
from covey.experiment.results import ArmResult, Comparison, ExperimentResult, Verdict
from covey.experiment.split import Split, check_split
from covey.experiment.units import Units, read_units
from covey.stats import e_bh, holm

if TYPE_CHECKING:
    import pyarrow as pa

UNBALANCED_LOG_P = math.log(1e-4)
"""A covariate from before the exposure that differs between arms so much is no chance."""


def analyze(table: pa.Table | Mapping[str, Any], design: Design) -> ExperimentResult:
    """Analyse a table of one row per unit.

    Args:
        table: an Arrow table, or columns by name.
        design: what is asked.

    Raises:
        InputError: what cannot be used, with column and row; see `read_units` and `Units.values`.
    """
    return analyze_units(read_units(table, design), design)


def analyze_units(units: Units, design: Design) -> ExperimentResult:
    """Analyse units that have been read."""
    split = check_split(units.variants, units.counts.tolist(), design.planned_shares)
    cells = cells_of(units, design.outcomes)
    compared = compare_all(units, design, cells)
    look = look_of(design, len(units))
    comparisons = conclude(compared, units, design, split, look)
    warnings = _warnings(units, design, cells, look)
    return ExperimentResult(
        len(units), split, comparisons, design.decide_by, design.alpha, warnings, _headline(split, comparisons)
    )


def compare_all(
    units: Units, design: Design, cells: Mapping[str, Cells], segment: Any = None, segment_count: int = 1
) -> list[Compared]:
    """Every outcome of every variant but the control, in the order of the design."""
    found: list[Compared] = []
    for outcome in design.outcomes:
        if outcome.is_of_hazards:
            found += compare_hazards(units, outcome, segment, segment_count, design.alpha)
        else:
            found += compare_cells(outcome, cells[outcome.name], design.alpha)
    return found


def conclude(
    compared: Sequence[Compared], units: Units, design: Design, split: Split, look: Look | None
) -> tuple[Comparison, ...]:
    """Correct for all comparisons and say what stands."""
    testable = [i for i, one in enumerate(compared) if not one.problems[0]]
    family = max(len(testable), 1)
    stars = {i: n_star_of(design, int(compared[i].units[0]), len(units)) for i in testable}
    judged = {i: judge(compared[i], 0, design, look, stars[i], family) for i in testable}
    adjusted = dict(zip(testable, holm([float(compared[i].log_p[0]) for i in testable]), strict=True))
    stands = _standing(judged, adjusted, design)
    return tuple(
        _comparison(
            one, units, design, split, judged.get(i), float(adjusted[i]) if i in judged else None, i in stands,
            needed_for(one, 0, design, look, stars[i], family) if i in judged else None, family,
        )
        for i, one in enumerate(compared)
    )  # fmt: skip


def _standing(judged: Mapping[int, Judged], adjusted: Mapping[int, Any], design: Design) -> set[int]:
    """Which differences stand after the correction, by the deciding reading."""
    if design.decide_by is DecideBy.group_sequential:
        return {i for i, one in judged.items() if one.passes_boundary}
    if design.decide_by is DecideBy.fixed:
        return {i for i in judged if adjusted[i] <= math.log(design.alpha)}
    order = list(judged)
    return {order[k] for k in e_bh([judged[i].log_e for i in order], design.alpha)}


def _comparison(
    one: Compared, units: Units, design: Design, split: Split, judged: Judged | None, adjusted_log_p: float | None,
    stands: bool, needed: float | None, family: int,
) -> Comparison:  # fmt: skip
    arms = _arms(one, units)
    if judged is None:
        why = f"nothing to compare: {one.problems[0]}"
        return Comparison(
            one.outcome, *arms, None, None, None, 0.0, (), None, None, False,
            Verdict.invalid if split.is_mismatch else Verdict.not_judged, why, None, None,
        )  # fmt: skip
    deciding = next(reading for reading in judged.readings if reading.kind is design.decide_by)
    survives = stands and deciding.is_valid and not split.is_mismatch
    verdict, why = verdict_of(one, 0, deciding, survives, needed, family)
    if split.is_mismatch:
        verdict, why = Verdict.invalid, "the split is not the planned one: no difference can be believed"
    estimate, relative = float(one.effect.difference[0]), float(one.effect.relative[0])
    is_hazard = one.outcome.is_of_hazards
    return Comparison(
        outcome=one.outcome,
        candidate=arms[0],
        control=arms[1],
        effect=math.exp(estimate) if is_hazard else estimate,
        standard_error=math.sqrt(float(one.effect.variance[0])),
        relative_effect=relative if math.isfinite(relative) else None,
        variance_explained=one.rho2,
        readings=judged.readings,
        adjusted_log_p=adjusted_log_p,
        log_e=judged.log_e,
        survives=survives,
        verdict=verdict,
        why=why,
        needed_units=needed if verdict is Verdict.undecided else None,
        needed_for_minimum=needed_for_minimum(one, 0, design, family),
        business=() if is_hazard else business_lines(one.outcome, estimate, deciding, design.population),
    )


def _arms(one: Compared, units: Units) -> tuple[ArmResult, ArmResult]:
    found = []
    for place, (variant, arm, raw) in enumerate(
        ((one.variant, one.candidate, one.raw_candidate), (0, one.control, one.raw_control))
    ):
        n, value = float(arm.n[0]), float(raw[0])
        error = math.sqrt(float(arm.variance[0]) / n) if n > 0 and arm.variance[0] >= 0 else None
        events, median = one.details[place] if place < len(one.details) else (None, None)
        found.append(
            ArmResult(
                units.variants[variant],
                int(n) if math.isfinite(n) else 0,
                value if math.isfinite(value) else None,
                error,
                events,
                median,
            )
        )
    return found[0], found[1]


def _warnings(units: Units, design: Design, cells: Mapping[str, Cells], look: Look | None) -> tuple[str, ...]:
    found = []
    for outcome in design.outcomes:
        cell = cells.get(outcome.name)
        if cell is None:
            continue
        if cell.covariate is not None:
            for variant in range(1, len(units.variants)):
                arms = [type(cell.covariate)(*(part[:, place] for part in cell.covariate)) for place in (variant, 0)]
                log_p = float(fixed_log_p(effect_of(*arms))[0])
                if log_p < UNBALANCED_LOG_P:
                    found.append(
                        f"{units.variants[variant]} differed from {units.variants[0]} in {outcome.covariate} before "
                        f"the exposure already (p = {p_words(log_p)}): the units were not assigned at random, or "
                        f"{outcome.covariate} was taken after it"
                    )
        if outcome.missing is Missing.drop:
            observed = cell.arm.n[0]
            left_out = units.counts - observed
            if left_out.sum() and np.all(units.counts > 0):
                uneven = check_split(units.variants, left_out.astype(int).tolist(), dict(
                    zip(units.variants, (units.counts / len(units)).tolist(), strict=True)
                ))  # fmt: skip
                note = f"{int(left_out.sum()):,} units have no {outcome.name} and are left out"
                if uneven.is_mismatch:
                    note += f", unevenly over the variants (p = {p_words(uneven.log_p)}): those who are left can differ"
                found.append(note)
    if design.decide_by is DecideBy.group_sequential and look is None:
        found.append("the earlier looks had as many units as there are now: the plan's boundaries cannot be used")
    if look is not None and look.units > look.planned:
        found.append(f"{look.units:,} units are more than the planned {look.planned:,}: this counts as the last look")
    return tuple(found)


def _headline(split: Split, comparisons: Sequence[Comparison]) -> str:
    if split.is_mismatch:
        return f"INVALID: the units are not split as planned (p = {p_words(split.log_p)})"
    parts = []
    for verdict, word in (
        (Verdict.improved, "improved"),
        (Verdict.harmed, "harmed"),
        (Verdict.alike, "alike within the margin"),
        (Verdict.undecided, "not decidable yet"),
        (Verdict.not_judged, "not judged"),
    ):
        names = [f"{one.outcome.name} by {one.candidate.variant}" for one in comparisons if one.verdict is verdict]
        if names:
            parts.append(f"{word}: {', '.join(names)}")
    return "; ".join(parts)
