"""The answer of `covey retention`: tables for people, the same as data."""

from __future__ import annotations

import math
from textwrap import wrap
from typing import Any

from covey.cli.output import TABLE_WIDTH, counted, print_table, print_text
from covey.instants import instant_to_datetime
from covey.retention.activity import date_of
from covey.retention.curves import Curves, GroupCurve
from covey.retention.measure import GroupBy, Retention
from covey.retention.table import Cell, CellVerdict, RetentionRow

_MOST_CURVES = 12


def as_data(found: Retention) -> dict[str, Any]:
    """Plain data: every number of the answer."""
    activity = found.activity
    return {
        "by": found.by.value,
        "period": found.period.value if found.by is GroupBy.start else None,
        "landmark_days": found.landmark_days or None,
        "as_of": instant_to_datetime(activity.as_of_us).isoformat(),
        "last_complete_day": date_of(activity.last_complete_day).isoformat(),
        "ignored_event_count": activity.ignored_event_count,
        "confidence": found.table.confidence,
        "groups": [_row_data(row) for row in found.table.rows],
        "all": _row_data(found.table.total),
        "curves": None if found.curves is None else _curves_data(found.curves),
        "curves_problem": found.curves_problem or None,
    }


def print_report(found: Retention) -> None:
    """A table of shares, what they rest on, and how long learners stay."""
    table = found.table
    heads = [f"d{interval.label}" for interval in table.intervals]
    left = TABLE_WIDTH - max(len(row.group) for row in (*table.rows, table.total)) - len(" learners")
    shown = table.intervals[: max(1, left // (1 + max(map(len, heads))))]
    heads = ["", "learners", *heads[: len(shown)]]
    lines = [
        [row.group, f"{row.learner_count:,}", *(_cell_text(cell) for cell in row.cells[: len(shown)])]
        for row in (*table.rows, table.total)
    ]
    print_table(heads, lines)
    print_text("")
    print_text(_explanation(found, len(table.intervals) - len(shown)))
    if found.curves is None:
        print_text("\n".join(wrap(f"No survival curves: {found.curves_problem}.", TABLE_WIDTH)))
        return
    print_text("")
    _print_curves(found.curves)


def p_text(p_value: float) -> str:
    """A p-value as people read it: never 0."""
    return "< 1e-300" if p_value < 1e-300 else f"{p_value:.2g}"


def _explanation(found: Retention, hidden: int) -> str:
    activity = found.activity
    parts = [
        "Percent of the learners who have completed the days of a column, days counted after each learner's first; "
        f"{date_of(activity.last_complete_day)} is the last complete day. {100 * found.table.confidence:g} % "
        "intervals: --output json."
    ]
    verdicts = {cell.verdict for row in found.table.rows for cell in row.cells}
    if CellVerdict.few in verdicts:
        parts.append(f"~ fewer than {found.table.few_learners} learners: next to nothing is known.")
    if CellVerdict.not_complete in verdicts:
        parts.append(". nobody has completed these days yet.")
    if found.by is GroupBy.archetype:
        made = f"Archetypes are of the first {found.landmark_days} days alone"
        parts.append(f"{made}: what came later cannot have made them.")
    if hidden:
        parts.append(f"{counted(hidden, 'more column', 'more columns')}: --output json, or fewer --days.")
    if activity.ignored_event_count:
        parts.append(f"{counted(activity.ignored_event_count, 'event', 'events')} after as_of ignored.")
    return "\n".join(line for part in parts for line in wrap(part, TABLE_WIDTH))


def _print_curves(found: Curves) -> None:
    since = "first day" if not found.from_day else f"landmark, day {found.from_day}"
    heads = ["", "learners", "left", "half left by", "stay 28 days", "stay 90 days"]
    shown = found.groups[:_MOST_CURVES] if len(found.groups) > 1 else ()
    print_table(heads, [_curve_cells(line) for line in (*shown, found.total)])
    print_text("")
    print_text(
        f"Left: {found.away_after_days} days without an event; days after the {since}; Kaplan-Meier,\n"
        f"{100 * found.total.curve.confidence:g} % log-log limits at each day."
    )
    if len(found.groups) > _MOST_CURVES:
        print_text(f"{len(found.groups) - _MOST_CURVES} more groups: --output json.")
    if found.test is not None:
        test = found.test
        print_text(
            f"Log-rank test that all groups leave alike: chi-squared {test.statistic:.1f} on "
            f"{test.degrees_of_freedom}, p {p_text(test.p_value)}"
        )
    if found.test_problem:
        text = f"{'No test' if found.test is None else 'But'}: {found.test_problem}."
        print_text("\n".join(wrap(text, TABLE_WIDTH)))


def _curve_cells(line: GroupCurve) -> list[str]:
    half = line.curve.quantile(0.5) if line.learner_count else math.nan
    stays = []
    for days in (28, 90):
        survival, low, high = (float(values[0]) for values in line.curve.at([days]))
        stays.append("." if math.isnan(survival) else f"{100 * survival:.0f} ({100 * low:.0f}-{100 * high:.0f})")
    reached = "not yet" if math.isnan(half) else f"day {half:.0f}"
    return [line.group, f"{line.learner_count:,}", f"{line.left_count:,}", reached, *stays]


def _cell_text(cell: Cell) -> str:
    if cell.share is None:
        return "."
    return f"{'~' if cell.verdict is CellVerdict.few else ''}{100 * cell.share:.0f}"


def _row_data(row: RetentionRow) -> dict[str, Any]:
    return {
        "group": row.group,
        "learner_count": row.learner_count,
        "intervals": [
            {
                "days": cell.interval.label,
                "eligible_count": cell.eligible_count,
                "retained_count": cell.retained_count,
                "share": cell.share,
                "low": cell.low,
                "high": cell.high,
                "verdict": cell.verdict.value,
            }
            for cell in row.cells
        ],
    }


def _curves_data(found: Curves) -> dict[str, Any]:
    test = found.test
    return {
        "away_after_days": found.away_after_days,
        "from_day": found.from_day,
        "groups": [_curve_data(line) for line in (*found.groups, found.total)],
        "log_rank": None
        if test is None
        else {
            "chi_squared": test.statistic,
            "degrees_of_freedom": test.degrees_of_freedom,
            "p_value": p_text(test.p_value),
            "observed": list(test.observed),
            "expected": list(test.expected),
        },
        "log_rank_problem": found.test_problem or None,
    }


def _curve_data(line: GroupCurve) -> dict[str, Any]:
    curve = line.curve
    names = ("durations", "at_risk", "events", "survival", "low", "high")
    return {
        "group": line.group,
        "learner_count": line.learner_count,
        "left_count": line.left_count,
        "watched_days": curve.longest,
        **{"days" if name == "durations" else name: getattr(curve, name).tolist() for name in names},
    }
