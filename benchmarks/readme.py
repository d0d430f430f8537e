"""Writes the claims of the last full run into README.md, between two markers: `make bench-readme`.

Claims that were taken again alone since then, on the same machine (`make bench ONLY=...`), stand there as they were
taken last, and the table says how many those are: something else may have run beside a benchmark of the full run.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import NamedTuple

import verdict
from harness import Row

HERE = Path(__file__).parent
OUT = HERE / "out"
_SAME_MACHINE = ("processor", "cores", "instruction set", "compiler")
BEGIN, END = "<!-- claims: begin -->", "<!-- claims: end -->"


class Run(NamedTuple):
    """What a run of benchmarks left: rows, the machine, and the benchmark of each claim."""

    rows: list[Row]
    machine: dict[str, str]
    benchmark_of: dict[str, str]


def replaced(text: str, between: str) -> str:
    """The document with what is between the markers replaced.

    Raises:
        ValueError: where a marker is missing or stands twice.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"expected {BEGIN} and then {END}, once each")
    head, _, rest = text.partition(BEGIN)
    tail = rest.partition(END)[2]
    return f"{head}{BEGIN}\n{between}\n{END}{tail}"


def taken_again(full: Run, alone: Run | None) -> list[Row]:
    """The rows of a later run of some benchmarks; none where it was an earlier one or on another machine."""
    if alone is None or any(alone.machine[fact] != full.machine[fact] for fact in _SAME_MACHINE):
        return []
    is_later = alone.machine["date"] > full.machine["date"]
    return [row for row in alone.rows if row["claim"] in full.benchmark_of] if is_later else []


def read(name: str) -> Run | None:
    """A run of `benchmarks/run.py` by the name of its files; None where there is none."""
    results, provenance = OUT / f"{name}.json", OUT / f"{name}-machine.json"
    if not results.exists() or not provenance.exists():
        return None
    known = json.loads(provenance.read_text())
    return Run(json.loads(results.read_text()), known["machine"], known["benchmark_of"])


def main() -> int:
    """Read the runs, write README.md."""
    full = read("latest")
    if full is None:
        print(f"there is no {OUT / 'latest.json'}: run `make bench` first", file=sys.stderr)
        return 1
    again = {row["claim"]: row for row in taken_again(full, read("only"))}
    rows = [again.get(row["claim"], row) for row in full.rows]
    readme = HERE.parent / "README.md"
    table = verdict.readme_table(rows, full.benchmark_of, full.machine, len(again))
    readme.write_text(replaced(readme.read_text(), table))
    print(f"{len(rows)} claims written to {readme.name}, {len(again)} of them from a later run of their own")
    return 0


if __name__ == "__main__":
    sys.exit(main())
