"""What people see of an experiment, in 80 columns: from the same data that JSON, YAML and the service give."""

from __future__ import annotations

import textwrap
from typing import Any

from covey.cli.output import TABLE_WIDTH, print_table, print_text
from covey.experiment.wording import number_words, signed_words

READINGS = {"FIXED": "fixed", "GROUP_SEQUENTIAL": "group-sequential", "ALWAYS_VALID": "always valid"}


def print_experiment(data: dict[str, Any]) -> None:
    """An analysis: headline, split, effects, the three readings of each, the translation."""
    _paragraph(f"{data['unit_count']:,} units. {data['headline']}")
    _paragraph(f"split: {data['split']['text']}")
    for warning in data["warnings"]:
        _paragraph(f"warning: {warning}")
    print_text("")
    rows = [[*_heads(one), *_values(one), one["verdict"]] for one in data["comparisons"]]
    print_table(["outcome", "variant", "control", "value", "effect", "verdict"], rows, left=frozenset({0, 1, 5}))
    for one in data["comparisons"]:
        print_text("")
        _paragraph(f"{one['outcome']}, {one['candidate']['variant']}: {one['why']}")
        if one["readings"]:
            _readings(one, data["decide_by"])
        for line in one["business"]:
            ends = f" ({signed_words(line['low'])} to {signed_words(line['high'])})" if "low" in line else ""
            _paragraph(f"  {line['what']}: {signed_words(line['estimate'])}{ends}")
        if "needed_count_for_minimum_effect" in one:
            enough = number_words(one["needed_count_for_minimum_effect"])
            _paragraph(f"  finding the minimum effect takes {enough} {'events' if one['is_hazard_ratio'] else 'units'}")
    print_text("")
    told = dict.fromkeys((r["kind"], r["may_claim"]) for one in data["comparisons"] for r in one["readings"])
    for kind, claim in told:
        _paragraph(f"{READINGS[kind]} may claim {claim}.")


def print_segments(data: dict[str, Any]) -> None:
    """A deep dive: what to do first, then the tables that it follows from."""
    _paragraph(f"{data['unit_count']:,} units. split: {data['split']['text']}")
    for number, one in enumerate(data["recommendations"], 1):
        _paragraph(f"{number}. {one['text']}")
        _paragraph(f"   {one['sureness']}")
    if data["tables"]:
        print_text("")
        _paragraph("Intervals are for one look at one segment; verdicts count all segments and any number of looks.")
    for table in data["tables"]:
        print_text("")
        kind = "hazard ratio" if table["is_hazard_ratio"] else "effect"
        _paragraph(f"{table['outcome']} by {table['column']}, {table['variant']} over control ({kind})")
        shown = _ratio if table["is_hazard_ratio"] else signed_words
        rows = [_segment_cells(row, shown) for row in table["segments"]]
        headings = ["segment", "units", "effect", "interval", "shrunken", "verdict"]
        print_table(headings, rows, left=frozenset({0, 5}))
        if "spread" in table:
            s = table["spread"]
            ends = f"{number_words(s['tau_low'])} to {number_words(s['tau_high'])}"
            _paragraph(
                f"differences: Q = {s['q']:.1f} on {s['degrees']}, p = {table['adjusted_p_text']} corrected for all "
                f"tables; standard deviation of the effects {number_words(s['tau'])} ({ends})"
            )
        if "within" in table and "overall" in table:
            _paragraph(f"over all {shown(table['overall'])}, within segments {shown(table['within'])}")
    for one in data["interactions"]:
        _paragraph(
            f"{one['columns'][0]} with {one['columns'][1]}, {one['outcome']}: Q = {one['q']:.1f} on {one['degrees']}, "
            f"p = {one['p_text']} corrected"
        )


def print_plan(data: dict[str, Any]) -> None:
    """A plan: units and days by reading."""
    _paragraph(
        f"power {data['power']:.0%} at alpha {data['alpha']:g} over {data['comparison_count']} comparisons; "
        "units of all variants together"
    )
    print_text("")
    rows = []
    for one in data["outcomes"]:
        days = [f"{one[key]:,.1f}" if key in one else "-" for key in ("fixed_days", "always_valid_days")]
        rows.append(
            [
                one["name"], f"{one['minimum_effect']:.3g}", f"{one['fixed_unit_count']:,}",
                f"{one['group_sequential_unit_count']:,}", f"{one['expected_unit_count']:,}",
                f"{one['always_valid_unit_count']:,}", " / ".join(days),
            ]
        )  # fmt: skip
    print_table(["outcome", "effect", "one look", "looks: most", "mean", "any time", "days"], rows)
    limits = ", ".join(f"{look['boundary']:.3f} at {look['fraction']:.0%}" for look in data["looks"])
    _paragraph(f"boundaries of |z| for one comparison: {limits}")
    for one in data["outcomes"]:
        if "detectable_effect" in one:
            _paragraph(f"{one['name']}: that many units find {one['detectable_effect']:.2%} by one look")


def _heads(one: dict[str, Any]) -> list[str]:
    return [one["outcome"], one["candidate"]["variant"]]


def _values(one: dict[str, Any]) -> list[str]:
    values = [number_words(one[arm]["value"]) if "value" in one[arm] else "-" for arm in ("control", "candidate")]
    if one["is_hazard_ratio"]:
        values = [_median(one["control"]), _median(one["candidate"])]
    if "effect" not in one:
        return [*values, "-"]
    if one["is_hazard_ratio"]:
        return [*values, f"hazard x {number_words(one['effect'])}"]
    return [*values, f"{one['relative_effect']:+.2%}" if "relative_effect" in one else signed_words(one["effect"])]


def _median(arm: dict[str, Any]) -> str:
    return f"median {arm['median']:.4g}" if "median" in arm else f"{arm.get('event_count', 0):,} events"


def _readings(one: dict[str, Any], decide_by: str) -> None:
    rows = []
    for reading in one["readings"]:
        mark = "*" if reading["kind"] == decide_by else ""
        ends = "-"
        if "low" in reading:
            shown = _ratio if one["is_hazard_ratio"] else signed_words
            ends = f"{shown(reading['low'])} to {shown(reading['high'])}"
        chance = f"|z| {reading['boundary']:.2f}" if "boundary" in reading else f"p {reading.get('p_text', '-')}"
        rows.append([READINGS[reading["kind"]] + mark, ends, chance, "yes" if reading["is_valid"] else "not now"])
    print_table(["reading (* decides)", "interval", "p or boundary", "may claim"], rows)


def _segment_cells(row: dict[str, Any], shown: Any) -> list[str]:
    units = f"{row['candidate_unit_count'] + row['control_unit_count']:,}"
    if "effect" not in row:
        return [row["name"], units, "-", "-", "-", row["verdict"]]
    ends = f"{shown(row['low'])} to {shown(row['high'])}" if "low" in row and "high" in row else "-"
    drawn = shown(row["shrunken"]) if "shrunken" in row else "-"
    return [row["name"], units, shown(row["effect"]), ends, drawn, row["verdict"]]


def _ratio(value: float) -> str:
    return number_words(value)


def _paragraph(text: str) -> None:
    indent = text[: len(text) - len(text.lstrip())]
    for line in textwrap.wrap(text.strip(), TABLE_WIDTH, initial_indent=indent, subsequent_indent=indent):
        print_text(line)
