"""Every decoder under its fuzzer, one after the other: `make fuzz`.

Corpora grow in .cache/fuzz, so that a next run goes on from there; seconds and inputs of a decoder add up over its runs
until the folder goes.

Exit status 1 where an input was found that a decoder neither refuses nor understands; it lies in .cache/fuzz/found.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

from .decoders import DECODERS

HERE = Path(__file__).parent
CACHE = Path(".cache/fuzz")
FOUND = CACHE / "found"
REPORTS = CACHE / "reports"
_LONGEST_INPUT = 16_384
_MEGABYTES = 3_000
_SECONDS_OF_ONE_INPUT = 20


def compiled(folder: Path) -> dict[str, list[str]]:
    """Commands of the fuzzers of the core."""
    return {path.name.removeprefix("covey_fuzz_"): [str(path)] for path in sorted(folder.glob("covey_fuzz_*"))}


def _processor_seconds_of_children() -> float:
    """What they had of a processor: on a machine that others use, a fuzzer has less than the time that passes."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(name: str, command: list[str], seconds: int) -> dict[str, object]:
    """One fuzzer for so long; what came of it."""
    grown = CACHE / "corpus" / name
    grown.mkdir(parents=True, exist_ok=True)
    before = set(FOUND.iterdir())
    options = [
        f"-max_total_time={seconds}",
        f"-timeout={_SECONDS_OF_ONE_INPUT}",
        f"-rss_limit_mb={_MEGABYTES}",
        f"-max_len={_LONGEST_INPUT}",
        f"-artifact_prefix={FOUND}/{name}-",
        "-print_final_stats=1",
    ]
    log = CACHE / f"{name}.log"
    used_before, begun = _processor_seconds_of_children(), time.monotonic()
    with log.open("w") as output:
        done = subprocess.run(
            [*command, str(grown), str(HERE / "corpus" / name), *options], stdout=output, stderr=output, check=False
        )
    runs = re.findall(r"stat::number_of_executed_units: (\d+)", log.read_text(errors="replace"))
    inputs = int(runs[-1]) if runs else 0
    earlier = REPORTS / f"{name}.json"
    past = json.loads(earlier.read_text()) if earlier.exists() else {}
    # One that found something ended there.
    lasted = round(time.monotonic() - begun)
    return {
        "decoder": name,
        "seconds": lasted,
        "processor_seconds": (used := round(_processor_seconds_of_children() - used_before)),
        "inputs": inputs,
        "seconds_in_all": lasted + past.get("seconds_in_all", 0),
        "processor_seconds_in_all": used + past.get("processor_seconds_in_all", 0),
        "inputs_in_all": inputs + past.get("inputs_in_all", 0),
        "corpus": sum(1 for _ in grown.iterdir()),
        "found": sorted(str(path) for path in set(FOUND.iterdir()) - before),
        "exit_status": done.returncode,
        "log": str(log),
    }


def main() -> int:
    """Run all, or those named."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=int, required=True, help="for each decoder")
    parser.add_argument("--compiled", type=Path, required=True, help="folder of the fuzzers of the core")
    parser.add_argument("names", nargs="*", help="decoders; all by default")
    given = parser.parse_args()
    python = {name: [sys.executable, "-m", "tests.fuzz.run", name] for name in DECODERS}
    commands = compiled(given.compiled) | python
    unknown = sorted(set(given.names) - commands.keys())
    if unknown:
        parser.error(f"no decoder {', '.join(unknown)}; there are {', '.join(sorted(commands))}")
    for folder in (FOUND, REPORTS):
        folder.mkdir(parents=True, exist_ok=True)
    reports = []
    for name in given.names or commands:
        reports.append(run(name, commands[name], given.seconds))
        print(
            "{decoder:12} {inputs:>12,} inputs, corpus {corpus:>5}, exit {exit_status};"
            " {inputs_in_all:,} in {seconds_in_all:,} s in all,"
            " {processor_seconds_in_all:,} s of a processor".format(**reports[-1]),
            flush=True,
        )
        (REPORTS / f"{name}.json").write_text(json.dumps(reports[-1], indent=2) + "\n")
    broken = [report for report in reports if report["exit_status"] or report["found"]]
    for report in broken:
        print(f"{report['decoder']}: see {report['log']} and {FOUND}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
