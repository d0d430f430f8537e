"""What a run of the benchmarks concludes: floors, missing results, the second look, the README's table."""

from __future__ import annotations

from pathlib import Path

import pytest

import harness
import readme
import verdict
from claims import CLAIMS

NUMPY, POLARS = "sorted traits over numpy", "sorted traits over polars, equal threads"
AVX512 = "sorted traits, AVX-512, one thread: column bytes/s over readcols"


def row(claim: str, ratio: float, rounds: int = 5) -> harness.Row:
    return harness.claim_result(
        claim, ours=[1.0] * rounds, rival=[ratio] * rounds, rival_name="rival 1.0", unit="s", n=1000
    )


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        (49.9, "BELOW ITS FLOOR of 50"),
        (60.0, "0.75 of its target 80"),
        (80.0, "at its target 80"),
        (130.0, "at its moonshot 130"),
    ],
)
def test_a_row_stands_among_its_bars(ratio: float, said: str) -> None:
    assert verdict.standing(row(NUMPY, ratio)) == said


def test_a_ratio_at_the_floor_holds_and_one_below_does_not() -> None:
    rows = [row(NUMPY, 50.0), row(POLARS, 79.9)]
    assert verdict.below_floor(rows) == [rows[1]]
    assert verdict.below_target(rows) == rows


def test_the_second_look_replaces_only_what_was_below_its_floor() -> None:
    first = [row(NUMPY, 10.0), row(POLARS, 100.0)]
    second = [row(NUMPY, 60.0, rounds=10), row(POLARS, 500.0, rounds=10)]
    assert verdict.with_second_look(first, second) == [second[0], first[1]]


def test_a_run_without_a_result_with_two_or_with_few_rounds_is_at_fault() -> None:
    promised = [NUMPY, POLARS]
    assert verdict.faults([row(NUMPY, 60.0), row(POLARS, 90.0)], promised, ["baseline"]) == []
    found = verdict.faults([row(NUMPY, 60.0), row(NUMPY, 60.0, rounds=4)], promised, ["baseline"])
    assert [fault.split(":")[0] for fault in found] == [
        "no result for",
        "more than one result for",
        "4 rounds, at least 5 are asked for",
    ]
    assert verdict.faults([row(NUMPY, 60.0, rounds=4)], [NUMPY], ["baseline"], least_rounds=1) == []
    assert "other keys" in verdict.faults([row(NUMPY, 60.0) | {"colour": "blue"}], [], [])[0]


def test_a_claim_about_instructions_is_asked_of_machines_that_have_them() -> None:
    assert verdict.faults([], [AVX512], ["avx2", "baseline"]) == []
    assert len(verdict.faults([], [AVX512], ["avx512", "avx2", "baseline"])) == 1


def test_the_document_shows_claims_notes_and_machine() -> None:
    text = verdict.document([row(NUMPY, 60.0)], {"traits": ["two threads help"]}, {"cores": "2 of 2"})
    assert f"- {NUMPY}: 0.75 of its target 80" in text
    assert "- traits: two threads help" in text
    assert "| cores | 2 of 2 |" in text


def test_the_readme_has_a_place_for_the_claims_and_keeps_the_rest() -> None:
    text = (Path(readme.HERE).parent / "README.md").read_text()
    machine = dict.fromkeys(("cores", "processor", "memory", "instruction set", "compiler", "date"), "known")
    between = verdict.readme_table([row(NUMPY, 60.0)], {NUMPY: "traits"}, machine)
    assert f"| {NUMPY} | 60.0 | 60.0 to 60.0 | 80 | rival 1.0 | `make bench ONLY=traits` |" in between
    written = readme.replaced(text, between)
    assert between in written
    assert written.partition(readme.BEGIN)[0] == text.partition(readme.BEGIN)[0]
    assert written.partition(readme.END)[2] == text.partition(readme.END)[2]
    assert readme.replaced(written, between) == written


def test_claims_that_were_taken_again_alone_replace_those_of_the_full_run() -> None:
    machine = dict.fromkeys(("cores", "processor", "instruction set", "compiler", "memory"), "known")
    full = readme.Run(
        [row(NUMPY, 60.0), row(POLARS, 70.0)], machine | {"date": "2026-01-02"}, {NUMPY: "a", POLARS: "a"}
    )
    alone = readme.Run([row(NUMPY, 90.0)], machine | {"date": "2026-01-03"}, {NUMPY: "a"})
    assert [found["ratio"] for found in readme.taken_again(full, alone)] == [90.0]
    table = verdict.readme_table(alone.rows, full.benchmark_of, full.machine, 1)
    assert "1 taken again alone after the full run" in table
    earlier = alone._replace(machine=alone.machine | {"date": "2026-01-01"})
    elsewhere = alone._replace(machine=alone.machine | {"processor": "another"})
    for other in (None, earlier, elsewhere):
        assert readme.taken_again(full, other) == []


@pytest.mark.parametrize("text", ["nothing", f"{readme.BEGIN}", f"{readme.END} {readme.BEGIN}"])
def test_a_readme_without_its_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="once each"):
        readme.replaced(text, "table")


def test_rows_follow_the_order_of_the_claims() -> None:
    assert [found["claim"] for found in verdict.in_order([row(NUMPY, 1), row(AVX512, 1)])] == [AVX512, NUMPY]
    assert next(iter(CLAIMS)) == AVX512
