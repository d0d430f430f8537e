"""Results as plain dictionaries of the contract's field names: JSON, YAML, and the server's messages."""

from __future__ import annotations

import math
from typing import Any

from covey.experiment.chances import p_words
from covey.experiment.planning import Plan
from covey.experiment.results import ArmResult, Comparison, ExperimentResult, Reading
from covey.experiment.segment_results import SegmentsResult, SegmentTable
from covey.experiment.split import Split


def experiment_data(result: ExperimentResult) -> dict[str, Any]:
    """An analysis; what there is not is left out, logarithms are natural, p values are texts that are never 0."""
    return {
        "unit_count": result.units,
        "headline": result.headline,
        "split": _split(result.split),
        "decide_by": result.decide_by.value.upper(),
        "alpha": result.alpha,
        "warnings": list(result.warnings),
        "comparisons": [_comparison(one) for one in result.comparisons],
    }


def segments_data(result: SegmentsResult) -> dict[str, Any]:
    """A deep dive."""
    return {
        "unit_count": result.units,
        "split": _split(result.split),
        "recommendations": [{"text": one.text, "sureness": one.sureness} for one in result.recommendations],
        "balances": [{"column": one.column, **_chance(one.log_p), "is_moved": one.is_moved} for one in result.balances],
        "tables": [_table(table) for table in result.tables],
        "interactions": [
            {
                "columns": list(one.columns),
                "outcome": one.outcome,
                "variant": one.variant,
                "q": one.q,
                "degrees": one.degrees,
                **_chance(one.adjusted_log_p),
            }
            for one in result.interactions
        ],
    }


def plan_data(plan: Plan) -> dict[str, Any]:
    """A plan."""
    return {
        "alpha": plan.alpha,
        "power": plan.power,
        "comparison_count": plan.comparisons,
        "looks": [
            {"fraction": fraction, "boundary": limit}
            for fraction, limit in zip(plan.looks, plan.limits, strict=True)
            if math.isfinite(limit)
        ],
        "outcomes": [
            _present(
                name=line.outcome.name,
                minimum_effect=line.outcome.minimum_effect,
                fixed_unit_count=line.fixed_units,
                group_sequential_unit_count=line.group_sequential_units,
                expected_unit_count=line.expected_units,
                always_valid_unit_count=line.always_valid_units,
                fixed_days=line.fixed_days,
                group_sequential_days=line.group_sequential_days,
                always_valid_days=line.always_valid_days,
                detectable_effect=line.detectable,
            )
            for line in plan.lines
        ],
    }


def _present(**values: Any) -> dict[str, Any]:
    """What is there: no None and no number that is not finite."""
    return {
        name: value
        for name, value in values.items()
        if value is not None and not (isinstance(value, float) and not math.isfinite(value))
    }


def _chance(log_p: float | None) -> dict[str, Any]:
    if log_p is None:
        return {}
    return _present(log_p=log_p, p_text=p_words(log_p))


def _split(split: Split) -> dict[str, Any]:
    arms = zip(split.variants, split.counts, split.planned, strict=True)
    return {
        "arms": [{"variant": name, "unit_count": count, "planned_share": share} for name, count, share in arms],
        **_chance(split.log_p),
        "log_e": split.log_e,
        "is_mismatch": split.is_mismatch,
        "text": split.words,
    }


def _arm(arm: ArmResult) -> dict[str, Any]:
    return _present(
        variant=arm.variant,
        unit_count=arm.units,
        value=arm.value,
        standard_error=arm.standard_error,
        event_count=arm.events,
        median=arm.median,
    )


def _reading(reading: Reading) -> dict[str, Any]:
    return _present(
        kind=reading.kind.value.upper(),
        low=reading.low,
        high=reading.high,
        relative_low=reading.relative_low,
        relative_high=reading.relative_high,
        boundary=reading.boundary,
        excludes_zero=reading.excludes_zero,
        is_valid=reading.is_valid,
        may_claim=reading.may_claim,
        **_chance(reading.log_p),
    )


def _comparison(one: Comparison) -> dict[str, Any]:
    adjusted = {} if one.adjusted_log_p is None else {
        "adjusted_log_p": one.adjusted_log_p, "adjusted_p_text": p_words(one.adjusted_log_p),
    }  # fmt: skip
    return _present(
        outcome=one.outcome.name,
        kind=one.outcome.kind.value,
        verdict=one.verdict.value,
        why=one.why,
        candidate=_arm(one.candidate),
        control=_arm(one.control),
        effect=one.effect,
        is_hazard_ratio=one.is_hazard_ratio,
        standard_error=one.standard_error,
        relative_effect=one.relative_effect,
        variance_explained=one.variance_explained,
        readings=[_reading(reading) for reading in one.readings],
        log_e=one.log_e,
        survives=one.survives,
        needed_count=one.needed_units,
        needed_count_for_minimum_effect=one.needed_for_minimum,
        business=[
            _present(what=line.what, estimate=line.estimate, low=line.low, high=line.high) for line in one.business
        ],
        **{
            key: value for key, value in adjusted.items() if not (isinstance(value, float) and not math.isfinite(value))
        },
    )


def _table(table: SegmentTable) -> dict[str, Any]:
    spread = None
    if table.spread is not None:
        s = table.spread
        spread = {
            "q": s.q, "degrees": s.degrees, **_chance(s.log_p), "tau": s.tau, "tau_low": s.tau_low,
            "tau_high": s.tau_high, "tau_bound": s.bound, "mean": s.mean, "mean_standard_error": s.mean_error,
        }  # fmt: skip
    return _present(
        column=table.column,
        outcome=table.outcome.name,
        variant=table.variant,
        is_hazard_ratio=table.outcome.is_of_hazards,
        spread=spread,
        adjusted_log_p=table.adjusted_log_p,
        adjusted_p_text=None if table.adjusted_log_p is None else p_words(table.adjusted_log_p),
        overall=table.overall,
        within=table.within,
        is_reversed=table.is_reversed,
        segments=[
            _present(
                name=row.name,
                candidate_unit_count=row.candidate_units,
                control_unit_count=row.control_units,
                control_value=row.control_value,
                effect=row.effect,
                low=row.low,
                high=row.high,
                shrunken=row.shrunken,
                shrunken_low=row.shrunken_low,
                shrunken_high=row.shrunken_high,
                verdict=row.verdict.value,
                why=row.why or None,
                **_chance(row.log_p),
            )
            for row in table.rows
        ],
    )
