"""How a claim is measured: contenders take turns in one run, every round gives one ratio, the median is the result.

A benchmark is a file `bench_<word>.py` beside this one with

    CLAIMS_HERE: tuple[str, ...]              # keys of `claims.CLAIMS`
    def run(smoke: bool) -> list[dict]: ...   # one `claim_result` per claim; correctness is asserted before any timing
    if __name__ == "__main__": harness.main(run)

These machines are shared and noisy, so figures of two runs are not comparable: a rival always runs in the same run,
next to what it is compared with, and the order rotates so that nobody always follows the same neighbour.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from claims import CLAIMS

Row = dict[str, Any]
"""One entry of latest.json."""

ROW_KEYS = (
    "claim",
    "ours",
    "rival",
    "rival_name",
    "ratio",
    "unit",
    "floor",
    "target",
    "moonshot",
    "rounds",
    "spread",
    "n",
)
NOTES: list[str] = []
"""What `note` was told in this process."""

ROUNDS_FACTOR_VARIABLE = "COVEY_BENCH_ROUNDS_FACTOR"
"""A claim that missed its floor is measured again with this many times the rounds."""


def interleave(
    contenders: Mapping[str, Callable[[], object]],
    rounds: int = 5,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds per round of each contender: one warm-up each, then rounds in which the order rotates.

    The garbage collector is off while a contender runs, and runs between them.
    """
    rounds *= int(os.environ.get(ROUNDS_FACTOR_VARIABLE, "1"))
    names = list(contenders)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        for name in names:
            contenders[name]()
        for round_number in range(rounds):
            first = round_number % len(names)
            for name in names[first:] + names[:first]:
                gc.collect()
                begin = clock()
                contenders[name]()
                seconds[name].append(clock() - begin)
    finally:
        if was_enabled:
            gc.enable()
    return seconds


def claim_result(
    claim: str,
    *,
    ours: Sequence[float],
    rival: Sequence[float],
    rival_name: str,
    unit: str,
    n: int,
    better: Literal["smaller", "larger"] = "smaller",
) -> Row:
    """The row of a claim from one figure per round of both sides.

    Args:
        claim: a key of `claims.CLAIMS`.
        ours: our figure in each round, in `unit`.
        rival: the rival's figure in the same rounds.
        rival_name: with its version or form, as readers should see it.
        unit: of both figures, such as "s" or "MB/s".
        n: size of the problem (learners, calls, bytes ...).
        better: "smaller" for times (ratio = rival / ours), "larger" for rates (ratio = ours / rival).

    Returns:
        Exactly the keys `ROW_KEYS`; `ours` and `rival` are medians, `ratio` is the median of the rounds' ratios and
        `spread` their smallest and largest.

    Raises:
        ValueError: for figures that are not positive or not one per round.
        KeyError: for a claim that nobody makes.
    """
    bars = CLAIMS[claim]
    if len(ours) != len(rival) or not ours:
        raise ValueError(f"{claim}: {len(ours)} rounds of ours, {len(rival)} of {rival_name}; expected as many")
    if min(*ours, *rival) <= 0:
        raise ValueError(f"{claim}: a figure is not positive: ours {list(ours)}, {rival_name} {list(rival)}")
    pairs = zip(ours, rival, strict=True)
    ratios = [theirs / own if better == "smaller" else own / theirs for own, theirs in pairs]
    return {
        "claim": claim,
        "ours": statistics.median(ours),
        "rival": statistics.median(rival),
        "rival_name": rival_name,
        "ratio": statistics.median(ratios),
        "unit": unit,
        "floor": bars.floor,
        "target": bars.target,
        "moonshot": bars.moonshot,
        "rounds": len(ratios),
        "spread": [min(ratios), max(ratios)],
        "n": n,
    }


def rounded(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value == 0:
        return "0"
    digits = max(0, 2 - int(f"{value:e}".split("e")[1]))
    return f"{value:,.{digits}f}"


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| claim | ratio | spread | floor / target / moonshot | ours | rival | rounds | n |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        low, high = row["spread"]
        bars = " / ".join(f"{row[bar]:g}" for bar in ("floor", "target", "moonshot"))
        lines.append(
            f"| {row['claim']} | {rounded(row['ratio'])} | {rounded(low)} to {rounded(high)} | {bars} "
            f"| {rounded(row['ours'])} {row['unit']} | {rounded(row['rival'])} {row['unit']}, {row['rival_name']} "
            f"| {row['rounds']} | {row['n']:,} |"
        )
    return "\n".join(lines)


def note(text: str) -> None:
    """Keep a line that is not a claim: a further rival, a size, a finding; it stands below the table of claims."""
    NOTES.append(text)
    print(text, file=sys.stderr, flush=True)


def main(run: Callable[[bool], list[Row]], arguments: Sequence[str] | None = None) -> None:
    """The command line of a benchmark: prints its rows as a table; `--json PATH` writes them and the notes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true", help="smaller sizes, for the floors only")
    parser.add_argument("--json", type=Path, help="also write rows and notes to this file")
    parsed = parser.parse_args(arguments)
    rows = run(parsed.smoke)
    if parsed.json:
        parsed.json.write_text(json.dumps({"rows": rows, "notes": NOTES}, indent=1))
    print(table(rows))
