"""Tables that cannot be used are refused with column and row, and nothing of them is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from covey.errors import InputError
from covey.experiment import Columns, Design, analyze, parse_outcome, parse_segment, parse_shares, read_units


def table(**changes: Any) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "unit": list(range(8)),
        "variant": list("abababab"),
        "y": [float(i) for i in range(8)],
        "days": [3.0] * 8,
        "came": [0, 1] * 4,
    }
    return columns | changes


def design(*outcomes: str, **changes: Any) -> Design:
    return Design(tuple(parse_outcome(text) for text in outcomes or ("y=mean:y",)), **changes)


@pytest.mark.parametrize(
    ("changes", "outcome", "message"),
    [
        (
            {"unit": [0, 1, 2, 3, 4, 5, 6, 0]},
            "y=mean:y",
            r"unit 0 is in two variants, a \(row 0\) and b \(row 7\); 1 units",
        ),
        ({"unit": list("abcdefga")}, "y=mean:y", r"unit 'a' is in two variants"),
        ({"unit": [0, 1, 2, 3, 4, 5, 0, 7]}, "y=mean:y", "unit 0 has two rows, 0 and 6.*outcomes summed"),
        ({"unit": [0, None, 2, 3, 4, 5, 6, 7]}, "y=mean:y", r"'unit', row 1 .*no value"),
        ({"variant": ["a"] * 8}, "y=mean:y", "all units are in 'a'"),
        ({"variant": ["a", None] * 4}, "y=mean:y", r"'variant', row 1 .*no value"),
        ({"y": [0.0, np.nan] * 4}, "y=mean:y", r"'y', row 1 .*in 4 of 8 rows.*missing=zero"),
        ({"y": [0.0, np.inf] * 4}, "y=mean:y", r"'y', row 1 .*infinite"),
        ({"y": list("abcdefgh")}, "y=mean:y", "holds string; expected numbers"),
        ({}, "z=mean:z", "there is no such column"),
        ({}, "p=proportion:y", r"'y', row 2 .*neither 0 nor 1"),
        ({"y": ["yes", "no"] * 4}, "p=proportion:y=ja", "no row has ja. There are no, yes"),
        ({"days": [-1.0] * 8}, "t=time:days,came", "before the exposure: its duration is below 0; so in 8 rows"),
        ({}, "y=mean:y;cuped=w", "there is no such column"),
    ],
)
def test_bad_tables(changes: dict[str, Any], outcome: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        analyze(table(**changes), design(outcome))


def test_outcomes_before_the_exposure_and_segments_after_it() -> None:
    times = table(exposed=[10.0] * 8, taken=[11.0] * 7 + [9.0], known=[9.0] * 6 + [11.0] * 2)
    with pytest.raises(InputError, match=r"'taken', row 7 .*outcome was taken before the exposure"):
        analyze(times, design(columns=Columns(exposed_at="exposed", outcome_at="taken")))
    with pytest.raises(InputError, match=r"'known', row 6 .*segment was taken after the exposure; so in 2 rows"):
        analyze(times, design(columns=Columns(exposed_at="exposed", known_at="known")))
    with pytest.raises(InputError, match="without the times of the exposures"):
        analyze(times, design(columns=Columns(outcome_at="taken")))


def test_timestamps_and_dates_are_times() -> None:
    stamps = pa.array(np.datetime64("2026-01-02") + np.arange(8)).cast(pa.timestamp("ns", tz="UTC"))
    days = pa.array(np.datetime64("2026-01-02") + np.arange(8)).cast(pa.date32())
    read_units(table(at=stamps, taken=days), design(columns=Columns(exposed_at="at", outcome_at="taken")))
    early = pa.array(np.datetime64("2026-01-01") + np.arange(8)).cast(pa.date32())
    with pytest.raises(InputError, match="before the exposure"):
        read_units(table(at=stamps, taken=early), design(columns=Columns(exposed_at="at", outcome_at="taken")))


def test_the_control_is_the_one_called_so() -> None:
    named = table(variant=["variant_1", "control"] * 4)
    assert read_units(named, design()).variants == ("control", "variant_1")
    assert read_units(named, design(control="variant_1")).variants == ("variant_1", "control")
    with pytest.raises(InputError, match=r"no unit is in the control 'x'\. The variants are control, variant_1"):
        read_units(named, design(control="x"))
    with pytest.raises(InputError, match="shares are planned for a, c, and units are in a, b"):
        read_units(table(), design(planned_shares=parse_shares("a=1,c=1")))


def test_ids_of_any_kind_hash_alike() -> None:
    numbers = read_units(table(), design()).id_hashes()
    texts = read_units(table(unit=[str(i) for i in range(8)]), design()).id_hashes()
    chunked = pa.chunked_array([[str(i) for i in range(3)], [str(i) for i in range(3, 8)]])
    np.testing.assert_array_equal(numbers, texts)
    np.testing.assert_array_equal(read_units(table(unit=chunked), design()).id_hashes(), texts)


def test_segments_by_cuts_quantiles_and_texts() -> None:
    units = read_units(table(s=["x", None, "y", "x"] * 2), design())
    assert units.levels(parse_segment("s")).names == ("x", "y", "(none)")
    assert units.levels(parse_segment("s")).codes.tolist() == [0, 2, 1, 0] * 2
    parts = units.levels(parse_segment("y:2,5"))
    assert parts.names == ("below 2", "2 to 5", "5 and more")
    assert parts.codes.tolist() == [0, 0, 1, 1, 1, 2, 2, 2]
    assert np.bincount(units.levels(parse_segment("y:q4")).codes).tolist() == [2, 2, 2, 2]
    for text in ("y:2,1", "y:q1", "y:a"):
        with pytest.raises(InputError, match="segment"):
            parse_segment(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("y", "is no outcome"),
        ("y=sum:y", "is no outcome"),
        ("y=ratio:y", "has no denominator"),
        ("y=quantile:y@2", "quantile is 2"),
        ("y=quantile:y@x", "'x' in .* is no number"),
        ("y=time:days", "says nothing of the event"),
        ("y=mean:y;cupped=x", "is no option"),
        ("y=quantile:y;cuped=x", "has no adjustment"),
        ("y=mean:y;margin=0", "margin is 0"),
        ("y=formula:__import__('os')", "has '__import__"),
        ("y=formula:1 + 2", "names 0 columns"),
        ("y=formula:a +", "is no formula"),
        ("y=formula:a if b else c", "has 'a if b else c'"),
    ],
)
def test_outcomes_that_are_none(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        analyze(table(), design(text))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alpha": 0.7}, "alpha is 0.7"),
        ({"planned_units": 1}, "planned units are 1"),
        ({"earlier_looks": (5, 5), "planned_units": 10}, "do not increase"),
        ({"earlier_looks": (5,)}, "without planned units"),
        ({"decide_by": "group_sequential"}, "needs the planned number"),
        ({"decide_by": "never"}, "decide_by"),
        ({"segments": (parse_segment("s"), parse_segment("s:q2"))}, "named twice"),
    ],
)
def test_designs_that_are_none(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        design(**changes)


def test_two_outcomes_of_one_name() -> None:
    with pytest.raises(InputError, match="two outcomes are called 'y'"):
        design("y=mean:y", "y=mean:z")
