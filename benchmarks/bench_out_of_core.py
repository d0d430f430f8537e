"""Ten million learners in one command within 6 GiB: generate them as a folder, then analyse that folder.

    python benchmarks/bench_out_of_core.py [--learners 10000000] [--memory 6GiB] [--folder DIR] [--k auto]

A figure of its own, not a claim: it takes minutes and about 5 GB of disk, so it is no part of `make bench`. Each step
is a process as a person would start it; time and peak resident memory are the kernel's own (wait4). The table gives
both, and the run fails where the analysis took more memory than it was allowed.

What a profile said (one million learners, 57M events, a folder of 526 MB): decoding Parquet takes 2.7 s of one core,
conversion 1.5 s, traits 1.2 s. Touching memory for the first time costs more than computing here (2 s per GB), so
pieces of two million rows, whose memory is used again and again, beat one pass over all rows: 0.6 s of system time
instead of 3.0 s.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from covey.out_of_core_budget import memory_bytes


@dataclass(frozen=True)
class Step:
    """What a process took."""

    name: str
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    output: str


def step(name: str, *arguments: str) -> Step:
    """Run `covey` with some arguments to its end; its progress goes to standard error."""
    command = [sys.executable, "-m", "covey.cli", *arguments]
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{name} failed with status {process.returncode}")
    seconds = time.perf_counter() - begin
    return Step(name, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10, output)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--learners", type=int, default=10_000_000)
    parser.add_argument("--memory", default="6GiB")
    parser.add_argument("--k", default="auto")
    parser.add_argument("--folder", type=Path, help="where the events go for the time of the run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="covey-bench-", dir=arguments.folder) as scratch:
        folder = Path(scratch) / "events"
        generated = step("generate", "generate", str(folder), "--learners", str(arguments.learners))
        on_disk = sum(file.stat().st_size for file in folder.iterdir())
        analyzed = step(
            "analyze", "analyze", str(folder), "--memory", arguments.memory, "--k", arguments.k, "--output", "json"
        )
    answer = json.loads(analyzed.output)
    rows, learners, k = answer["row_count"], answer["learner_count"], answer["k"]
    print(f"{learners:,} learners, {rows:,} events, {on_disk / 1e9:.2f} GB of Parquet, k = {k}")
    print()
    print("| step | seconds | CPU seconds | peak memory | events/s |")
    print("|---|---|---|---|---|")
    for taken in (generated, analyzed):
        memory = f"{taken.peak_bytes / 2**30:.2f} GiB"
        rate = f"{rows / taken.seconds / 1e6:.1f}M"
        print(f"| {taken.name} | {taken.seconds:.0f} | {taken.cpu_seconds:.0f} | {memory} | {rate} |")
    if analyzed.peak_bytes > memory_bytes(arguments.memory):
        raise SystemExit(f"analyze took more than {arguments.memory}")


if __name__ == "__main__":
    main()
