"""Tables of counters: what is evidence, what is an error and where."""

from __future__ import annotations

import pytest

from covey.rollout.samples import SampleError, Samples, read_samples

HEADER = ("time", "variant", "requests", "errors", "unavailable", "shed", "over_200ms", "over_0.5")
GOOD = [
    ["1m", "native", "100", "2", "1", "0", "5", "1"],
    ["1m", "reference", "900", "3", "0", "0", "20", "2"],
    ["2m", "native", "110", "0", "0", "4", "6", "0"],
    ["2m", "reference", "880", "3", "0", "0", "20", "2"],
]


def read(rows: list[list[str]], header: tuple[str, ...] = HEADER, **options: bool) -> Samples:
    return read_samples(header, rows, "s.csv", **options)


def with_cell(row: int, column: str, value: str) -> list[list[str]]:
    rows = [list(cells) for cells in GOOD]
    rows[row][HEADER.index(column)] = value
    return rows


def test_each_row_counts_its_interval() -> None:
    samples = read(GOOD)
    assert samples.limits_seconds == (0.2, 0.5)
    assert samples.pace_seconds == 60
    first, second = samples.samples
    assert (first.time - samples.begins).total_seconds() == 60
    assert second.variants["variants/native"].counts["shed"] == 4
    assert second.variants["variants/native"].over == {0.2: 6, 0.5: 0}


def test_counters_since_the_start_give_differences() -> None:
    total = [["0", "native", "1000", "7"], ["60", "native", "1100", "9"], ["90", "native", "1100", "9"]]
    samples = read(total, HEADER[:4], cumulative=True)
    assert [s.variants["variants/native"].counts["requests"] for s in samples.samples] == [100, 0]
    assert [s.seconds for s in samples.samples] == [60, 30]


@pytest.mark.parametrize(
    ("row", "column", "value", "words"),
    [
        (0, "errors", "101", "101 errors among 100 requests"),
        (2, "unavailable", "1", "1 unavailable among 0 errors"),
        (1, "over_200ms", "901", "901 requests slower than 0.2 s among 900"),
        (0, "over_0.5", "6", "6 requests slower than 0.5 s among 5"),
        (0, "requests", "-1", "negative"),
        (0, "requests", "nan", "no count"),
        (0, "requests", "inf", "no count"),
        (0, "errors", "0.071", "counters only"),
        (0, "shed", "many", "no number"),
        (2, "time", "30s", "sort the rows"),
        (0, "time", "soon", "no time"),
        (0, "time", "2026-05-01T06:00:00", "no zone"),
        (3, "variant", "native", "two series"),
        (3, "variant", "", "empty"),
    ],
)
def test_a_cell_that_cannot_be_true_is_named(row: int, column: str, value: str, words: str) -> None:
    with pytest.raises(SampleError, match=words) as found:
        read(with_cell(row, column, value))
    assert f"s.csv: row {row + 1}, column '{column}'" in str(found.value)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (("time", "variant", "requests"), "'errors' is missing"),
        (("time", "variant", "p99_ms", "error_rate"), "counters only"),
        ((*HEADER, "errors"), "is there 2 times"),
        ((*HEADER, "over_0.2"), "limit 0.2 s is there twice"),
        ((*HEADER, "erors"), "did you mean 'errors'"),
    ],
)
def test_a_header_that_is_no_evidence(header: tuple[str, ...], words: str) -> None:
    with pytest.raises(SampleError, match=words):
        read(GOOD, header)


def test_counters_that_go_backwards_are_an_error() -> None:
    total = [["0", "native", "1000", "7"], ["60", "native", "900", "7"]]
    with pytest.raises(SampleError, match="row 2, column 'requests': it fell by 100 since row 1"):
        read(total, HEADER[:4], cumulative=True)
    # Seven errors more among five requests more: each row is possible, the interval is not.
    total = [["0", "native", "1000", "7"], ["60", "native", "1005", "14"]]
    with pytest.raises(SampleError, match="7 errors among 5 requests"):
        read(total, HEADER[:4], cumulative=True)


def test_a_series_of_one_time_is_too_short() -> None:
    with pytest.raises(SampleError, match="two or more"):
        read(GOOD[:2])
    with pytest.raises(SampleError, match="two or more"):
        read([])
    with pytest.raises(SampleError, match="row 1: it has 2 cells"):
        read([["1m", "native"]])
