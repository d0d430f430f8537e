"""The yardstick itself: ratios per round, turns, bars."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import pytest

import harness
from claims import CLAIMS

CLAIM = "sorted traits over numpy"


def result(ours: list[float], rival: list[float], **more: str) -> harness.Row:
    return harness.claim_result(CLAIM, ours=ours, rival=rival, rival_name="numpy", unit="s", n=7, **more)  # type: ignore[arg-type]


def test_a_row_has_exactly_the_promised_keys_and_the_bars_of_its_claim() -> None:
    row = result([1.0], [60.0])
    assert tuple(row) == harness.ROW_KEYS
    assert (row["floor"], row["target"], row["moonshot"]) == (50, 80, 130)
    assert json.loads(json.dumps(row)) == row


def test_the_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    """Not the ratio of the medians, which would compare rounds that never met (here 2 / 4)."""
    row = result([1.0, 4.0, 10.0], [2.0, 100.0, 1.0])
    assert row["ratio"] == pytest.approx(2.0)
    assert row["spread"] == pytest.approx([0.1, 25.0])
    assert (row["ours"], row["rival"], row["rounds"], row["n"]) == (4.0, 2.0, 3, 7)


def test_more_is_better_for_times_and_for_rates() -> None:
    assert result([2.0], [10.0])["ratio"] == 5.0
    assert result([10.0], [2.0], better="larger")["ratio"] == 5.0


def test_rounds_without_a_partner_and_figures_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="1 rounds of ours, 2 of numpy"):
        result([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="0 rounds"):
        result([], [])
    with pytest.raises(ValueError, match="not positive"):
        result([1.0, 0.0], [1.0, 1.0])
    with pytest.raises(KeyError):
        harness.claim_result("faster than light", ours=[1], rival=[1], rival_name="light", unit="s", n=1)


def test_contenders_take_turns_after_one_warm_up_and_the_order_rotates() -> None:
    calls: list[str] = []
    collecting: list[bool] = []
    ticks = iter(range(1000))

    def contender(name: str) -> None:
        calls.append(name)
        collecting.append(gc.isenabled())

    seconds = harness.interleave(
        {name: lambda name=name: contender(name) for name in "abc"},  # type: ignore[misc]
        rounds=3,
        clock=lambda: float(next(ticks)),
    )
    assert "".join(calls) == "abc" + "abc" + "bca" + "cab"
    assert seconds == {"a": [1.0] * 3, "b": [1.0] * 3, "c": [1.0] * 3}
    assert not any(collecting)
    assert gc.isenabled()


def test_a_second_look_takes_more_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(harness.ROUNDS_FACTOR_VARIABLE, "3")
    assert len(harness.interleave({"only": lambda: None}, rounds=2)["only"]) == 6


def test_every_claim_has_ascending_bars() -> None:
    assert len(CLAIMS) == 30
    assert all(0 < bars.floor < bars.target < bars.moonshot for bars in CLAIMS.values())


def test_the_command_line_prints_a_table_and_writes_the_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[bool] = []

    def run(smoke: bool) -> list[harness.Row]:
        asked.append(smoke)
        harness.note("one thread")
        return [result([0.155], [13.0])]

    harness.main(run, ["--smoke", "--json", str(tmp_path / "rows.json")])
    assert asked == [True]
    written = json.loads((tmp_path / "rows.json").read_text())
    assert written == {"rows": [result([0.155], [13.0])], "notes": ["one thread"]}
    printed = capsys.readouterr().out
    assert f"| {CLAIM} | 83.9 | 83.9 to 83.9 | 50 / 80 / 130 | 0.155 s | 13.0 s, numpy | 1 | 7 |" in printed


@pytest.mark.parametrize(("value", "text"), [(0.01234, "0.0123"), (1234.5, "1,234"), (9.996, "10.00"), (0.0, "0")])
def test_figures_have_three_digits(value: float, text: str) -> None:
    assert harness.rounded(value) == text
