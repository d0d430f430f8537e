"""All claims in one run: `make bench`, `make bench-smoke`.

Every benchmark has a process of its own, so that none inherits another's threads, memory or libraries. The rows go to
latest.json (smoke.json with --smoke), with what they were taken on to latest.md. A claim below its floor is looked at
once more with twice the rounds, because a neighbour on a shared machine can spoil a short measurement; a claim
that stays below fails the run. The exit status is 1 then, and where a claim has no result.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import machine
import verdict
from claims import CLAIMS
from covey import _core
from harness import ROUNDS_FACTOR_VARIABLE, Row

HERE = Path(__file__).parent
SECOND_LOOK_FACTOR = "2"
DEADLINE_SECONDS = {True: 600, False: 5_400}
"""For one benchmark, by whether it is a smoke run; a busy machine takes many times as long as a quiet one."""


def benchmarks(only: Sequence[str]) -> list[Path]:
    """Files that measure claims, by name; `only` keeps those words.

    Raises:
        SystemExit: for a word without a file.
    """
    files = {path.stem.removeprefix("bench_"): path for path in sorted(HERE.glob("bench_*.py"))}
    measuring = {word: path for word, path in files.items() if re.search(r"^CLAIMS_HERE\b", path.read_text(), re.M)}
    unknown = [word for word in only if word not in measuring]
    if unknown:
        raise SystemExit(f"no benchmark of claims is called {', '.join(unknown)}; there are {', '.join(measuring)}")
    return [path for word, path in measuring.items() if not only or word in only]


def measure(path: Path, smoke: bool, rounds_factor: str = "1") -> tuple[list[Row], list[str]]:
    """Rows and notes of one benchmark.

    Raises:
        RuntimeError: when it fails or takes too long.
    """
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "rows.json"
        command = [sys.executable, str(path), "--json", str(answer), *(["--smoke"] if smoke else [])]
        environment = os.environ | {ROUNDS_FACTOR_VARIABLE: rounds_factor}
        deadline = DEADLINE_SECONDS[smoke]
        try:
            subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True, timeout=deadline)
        except subprocess.CalledProcessError as error:
            raise RuntimeError(f"{path.name} failed with exit status {error.returncode}") from None
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"{path.name} took longer than {deadline} s") from None
        if not answer.exists():
            raise RuntimeError(f"{path.name} wrote no rows; it should end in harness.main(run)")
        written = json.loads(answer.read_text())
    return written["rows"], written["notes"]


def main() -> int:
    """Measure, write, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="smaller sizes, floors only")
    parser.add_argument("--only", nargs="*", default=[], metavar="WORD", help="bench_WORD.py and no other")
    parser.add_argument("--date", default="not given", help="when the run began, recorded with the figures")
    parser.add_argument("--output", type=Path, default=HERE / "out", help="folder of the results")
    arguments = parser.parse_args()
    facts = machine.facts(arguments.date)
    rows: list[Row] = []
    notes: dict[str, list[str]] = {}
    benchmark_of: dict[str, str] = {}
    failures: list[str] = []
    began = time.monotonic()
    for path in benchmarks(arguments.only):
        word = path.stem.removeprefix("bench_")
        begin = time.monotonic()
        print(f"{path.name} ...", flush=True)
        try:
            found, notes[word] = measure(path, arguments.smoke)
            low = verdict.below_floor(found, smoke=arguments.smoke)
            for row in low:
                print(f"  looking again with more rounds: {row['ratio']:.3g}: {row['claim']}")
            if low:
                again = measure(path, arguments.smoke, SECOND_LOOK_FACTOR)[0]
                found = verdict.with_second_look(found, again, smoke=arguments.smoke)
        except RuntimeError as error:
            failures.append(str(error))
            continue
        for row in found:
            smallest, largest = row["spread"]
            said = verdict.standing(row, smoke=arguments.smoke)
            print(f"  {row['ratio']:8.3g} ({smallest:.3g} to {largest:.3g})  {row['claim']}: {said}")
        print(f"  {time.monotonic() - begin:.0f} s", flush=True)
        rows += found
        benchmark_of |= {row["claim"]: word for row in found}
    rows = verdict.in_order(rows)
    facts["wall time"] = f"{time.monotonic() - began:.0f} s"
    promised = [] if arguments.only else list(CLAIMS)
    least_rounds = 1 if arguments.smoke else verdict.LEAST_ROUNDS
    failures += verdict.faults(rows, promised, _core.available_isas(), least_rounds)
    low = verdict.below_floor(rows, smoke=arguments.smoke)
    failures += [f"{verdict.standing(row, smoke=arguments.smoke)}: {row['ratio']:.3g}: {row['claim']}" for row in low]
    arguments.output.mkdir(parents=True, exist_ok=True)
    name = "smoke" if arguments.smoke else "only" if arguments.only else "latest"
    (arguments.output / f"{name}.json").write_text(json.dumps(rows, indent=1) + "\n")
    (arguments.output / f"{name}.md").write_text(verdict.document(rows, notes, facts))
    provenance = {"machine": facts, "benchmark_of": benchmark_of}
    (arguments.output / f"{name}-machine.json").write_text(json.dumps(provenance, indent=1) + "\n")
    below = verdict.below_target(rows)
    print(f"{len(rows)} claims in {facts['wall time']}, {len(below)} below target; {arguments.output / name}.md")
    for failure in failures:
        print(f"FAILED: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
