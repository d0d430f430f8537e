"""What to do about segments, in words that follow from the numbers and say how sure they are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from covey.experiment.chances import p_words
from covey.experiment.design import Design
from covey.experiment.segment_results import (
    Balance,
    Interaction,
    Recommendation,
    SegmentRow,
    SegmentTable,
    SegmentVerdict,
)
from covey.experiment.split import Split
from covey.experiment.spread import Spread
from covey.experiment.wording import number_words, signed_words

ALIKE_SHARE = 0.5
"""Of the mean effect: segments whose effects spread by no more than this get one decision."""


def recommend(
    split: Split, balances: Sequence[Balance], tables: Sequence[SegmentTable], interactions: Sequence[Interaction],
    design: Design,
) -> tuple[Recommendation, ...]:  # fmt: skip
    """In the order of urgency: what cannot be believed, who is harmed, who differs, where one decision does for all."""
    if split.is_mismatch:
        return (Recommendation("Repair the split before anything is decided.", split.words),)
    moved = {balance.column for balance in balances if balance.is_moved}
    found = [
        Recommendation(
            f"Do not read effects by {balance.column}: its segments are split unlike the whole.",
            f"p = {p_words(balance.log_p)} that it was fixed before the exposure; the change may have moved units "
            "between segments",
        )
        for balance in balances
        if balance.is_moved
    ]
    readable = [table for table in tables if table.column not in moved]
    found += [_reversal(table) for table in tables if table.is_reversed]
    found += [one for table in readable for one in _harms(table, design)]
    found += list(_differences(readable, design))
    found += [
        Recommendation(
            f"Look at {one.columns[0]} and {one.columns[1]} together: the effect of {one.variant} on {one.outcome} in "
            "their cells is not the sum of both.",
            f"p = {p_words(one.adjusted_log_p)}, corrected for all {len(interactions)} pairs looked at",
        )
        for one in interactions
        if one.adjusted_log_p < math.log(design.alpha) and not moved & set(one.columns)
    ]
    return tuple(found)


def _reversal(table: SegmentTable) -> Recommendation:
    assert table.overall is not None
    assert table.within is not None
    return Recommendation(
        f"Decide {table.outcome.name} within {table.column}, not over all: {table.variant} comes to "
        f"{_effect(table, table.overall)} over all and to {_effect(table, table.within)} within segments "
        "(Simpson's paradox).",
        "the arms are made up of different segments; the figure within segments does not suffer from that",
    )


def _harms(table: SegmentTable, design: Design) -> Iterator[Recommendation]:
    for row in table.rows:
        if row.verdict is SegmentVerdict.harmed:
            yield Recommendation(
                f"Keep {table.column} = {row.name} on the control: {table.variant} makes {table.outcome.name} worse "
                f"there, {_interval(table, row)}.",
                f"at most {design.alpha:.0%} of such calls are false on average, however often one looks",
            )


def _differences(tables: Sequence[SegmentTable], design: Design) -> Iterator[Recommendation]:
    """Where effects differ, one line a table; where they do not or nobody knows, one line for all its outcomes."""
    alike: dict[tuple[str, str], list[SegmentTable]] = {}
    unknown: dict[tuple[str, str], list[SegmentTable]] = {}
    for table in tables:
        if table.spread is None or table.adjusted_log_p is None:
            continue
        if table.adjusted_log_p < math.log(design.alpha):
            yield _differing(table)
        elif table.spread.bound <= ALIKE_SHARE * abs(table.spread.mean):
            alike.setdefault((table.column, table.variant), []).append(table)
        else:
            unknown.setdefault((table.column, table.variant), []).append(table)
    for (column, variant), group in alike.items():
        yield Recommendation(
            f"One decision does for all segments of {column}: effects of {variant} on {_outcomes(group)} "
            "hardly differ.",
            "standard deviation between segments at most "
            + ", ".join(f"{number_words(_spread(t).bound)} of {signed_words(_spread(t).mean)}" for t in group),
        )
    for (column, variant), group in unknown.items():
        yield Recommendation(
            f"Take one decision for all segments of {column} for now: that effects of {variant} on {_outcomes(group)} "
            "differ is not shown.",
            "nor is it excluded: standard deviations between segments up to "
            + ", ".join(f"{number_words(_spread(t).bound)} around {signed_words(_spread(t).mean)}" for t in group),
        )


def _differing(table: SegmentTable) -> Recommendation:
    spread, log_p = _spread(table), table.adjusted_log_p
    assert log_p is not None
    judged = [row for row in table.rows if row.verdict is not SegmentVerdict.too_small]
    best, worst = (pick(judged, key=lambda row: _wanted(table, row)) for pick in (max, min))
    ends = f"{number_words(spread.tau_low)} to {number_words(spread.tau_high)}"
    return Recommendation(
        f"Decide by segment: effects of {table.variant} on {table.outcome.name} by {table.column} differ, from "
        f"{_estimate(table, worst)} in {worst.name} to {_estimate(table, best)} in {best.name}.",
        f"p = {p_words(log_p)} corrected for all tables, standard deviation {number_words(spread.tau)} ({ends})",
    )


def _spread(table: SegmentTable) -> Spread:
    assert table.spread is not None
    return table.spread


def _outcomes(tables: Sequence[SegmentTable]) -> str:
    return ", ".join(table.outcome.name for table in tables)


def _wanted(table: SegmentTable, row: SegmentRow) -> float:
    value = row.shrunken if row.shrunken is not None else row.effect
    is_up_good = table.outcome.higher_is_better != table.outcome.is_of_hazards
    return (value or 0.0) * (1 if is_up_good else -1)


def _estimate(table: SegmentTable, row: SegmentRow) -> str:
    value = row.shrunken if row.shrunken is not None else row.effect
    return "-" if value is None else _effect(table, value)


def _effect(table: SegmentTable, value: float) -> str:
    return f"a hazard ratio of {number_words(value)}" if table.outcome.is_of_hazards else signed_words(value)


def _interval(table: SegmentTable, row: SegmentRow) -> str:
    if row.effect is None or row.low is None or row.high is None:
        return "-"
    return f"{_effect(table, row.effect)} ({number_words(row.low)} to {number_words(row.high)})"
