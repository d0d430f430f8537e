"""Discovery on a local Ray against one process: the same bits, and how much of the speed of a core is left.

    python benchmarks/bench_ray.py [--learners 1000000] [--workers 2] [--kill] [--shuffled] [--folder DIR] [--k auto]

A figure of its own, not a claim, and no part of `make bench`: ten million learners take minutes and about 5 GB of disk.
Each step is a process as a person would start it. Processor time is what is compared: of one process for the native
run; of the driver and all workers for Ray (their own clocks, from /proc while they run), the start of Ray's own daemons
apart. `--kill` ends one worker with kill -9 when it has done half of its work, which is done again. The run fails where
the fingerprints differ.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Watch:
    """Processor seconds of the processes below one, by pid, as they were last seen."""

    root: int
    kill_after_cpu_seconds: float | None
    seconds: dict[int, float] = field(default_factory=dict)
    daemons: dict[int, float] = field(default_factory=dict)
    killed: int | None = None

    def look(self) -> None:
        """Read all; kill a worker once it is time."""
        children: dict[int, list[tuple[int, float, bytes]]] = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                title = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            used = (int(fields[11]) + int(fields[12])) / _TICKS
            children.setdefault(int(fields[1]), []).append((int(entry.name), used, title))
            if int(entry.name) == self.root:
                self.seconds[self.root] = used
        waiting = [self.root]
        while waiting:
            for child, used, title in children.get(waiting.pop(), []):
                waiting.append(child)
                is_worker = title.startswith(b"ray::") and not title.startswith(b"ray::IDLE")
                (self.seconds if is_worker or child in self.seconds else self.daemons)[child] = used
                late = self.kill_after_cpu_seconds
                if self.killed is None and late is not None and title.startswith(b"ray::RayKeeper") and used > late:
                    os.kill(child, signal.SIGKILL)
                    self.killed = child


@dataclass(frozen=True)
class Run:
    """What one command took."""

    seconds: float
    cpu_seconds: float
    daemon_seconds: float
    killed: int | None
    answer: dict[str, object]


def run(arguments: list[str], kill_after_cpu_seconds: float | None = None) -> Run:
    """`covey` with some arguments to its end, watched."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "covey.cli", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        watch, done = Watch(process.pid, kill_after_cpu_seconds), threading.Event()

        def keep_watch() -> None:
            while not done.wait(0.1):
                watch.look()

        watcher = threading.Thread(target=keep_watch)
        watcher.start()
        assert process.stdout is not None
        output = process.stdout.read()
        done.set()
        watcher.join()
        if "ray" not in arguments:
            # One process says to the last tick what it took.
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            watch.seconds = {process.pid: usage.ru_utime + usage.ru_stime}
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed with status {process.returncode}")
    answer = json.loads(output) if "analyze" in arguments else {}
    return Run(
        time.perf_counter() - begin, sum(watch.seconds.values()), sum(watch.daemons.values()), watch.killed, answer
    )


def shuffle(folder: Path) -> None:
    """The rows of each file in a random order."""
    import numpy as np
    import pyarrow.parquet as pq

    for number, file in enumerate(sorted(folder.iterdir())):
        table = pq.read_table(file)
        pq.write_table(table.take(np.random.default_rng(number).permutation(table.num_rows)), file)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--learners", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--memory", default="8GiB")
    parser.add_argument("--k", default="auto")
    parser.add_argument("--kill", action="store_true", help="once more, with a worker killed in the middle")
    parser.add_argument("--shuffled", action="store_true", help="rows in no order: parted by learner first")
    parser.add_argument("--folder", type=Path, help="where the events go for the time of the run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="covey-bench-", dir=arguments.folder) as scratch:
        folder = Path(scratch) / "events"
        run(["generate", str(folder), "--learners", str(arguments.learners)])
        if arguments.shuffled:
            shuffle(folder)
        analyze = ["analyze", str(folder), "--memory", arguments.memory, "--k", arguments.k, "--output", "json"]
        on_ray = [*analyze, "--engine", "ray", "--threads", str(arguments.workers)]
        runs = {"native, one thread": run([*analyze, "--threads", "1"]), "Ray": run(on_ray)}
        if arguments.kill:
            half = runs["Ray"].cpu_seconds / arguments.workers / 2
            runs["Ray, a worker killed"] = run(on_ray, kill_after_cpu_seconds=half)
            if runs["Ray, a worker killed"].killed is None:
                raise SystemExit("no worker was killed")
    native = runs["native, one thread"]
    print(f"{arguments.learners:,} learners, {native.answer['row_count']:,} events, {arguments.workers} workers")
    print()
    print("| run | seconds | CPU seconds | events per CPU second | of native | fingerprint |")
    print("|---|---|---|---|---|---|")
    for name, taken in runs.items():
        rate = float(str(taken.answer["row_count"])) / taken.cpu_seconds
        share = native.cpu_seconds / taken.cpu_seconds
        print(
            f"| {name} | {taken.seconds:.1f} | {taken.cpu_seconds:.1f} | {rate / 1e6:.2f}M | {share:.0%} "
            f"| {str(taken.answer['fingerprint'])[:12]} |"
        )
    print(f"\nRay's own daemons: {runs['Ray'].daemon_seconds:.1f} CPU seconds beside that")
    if len({str(taken.answer["fingerprint"]) for taken in runs.values()}) != 1:
        raise SystemExit("the fingerprints differ")


if __name__ == "__main__":
    main()
