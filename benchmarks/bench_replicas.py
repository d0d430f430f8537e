"""Calls a second with one and two replicas behind one address, each on a core of its own.

    python benchmarks/bench_replicas.py [--rounds 7] [--seconds 3] [--json FILE]

A figure of its own, not a claim: it needs PostgreSQL and h2load (Debian's `postgresql` and `nghttp2-client`). Two sets
run side by side, of one replica and of two, and are loaded in turns; every replica is pinned to a core, and h2load
takes what is left: a core of its own beside one replica, a share of both beside two. On two cores the most that two
replicas can reach is therefore 2 s / (s + g) times one, s being a call's processor time in the server and g in the
generator; both are measured and printed beside the ratio. What each replica counted as answered is what counts.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import bench_wire

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from programs import program
from server.postgres import Cluster

_COUNTED = re.compile(r'^covey_requests_total\{[^}]*code="OK"[^}]*method="AnalyzeLearner"[^}]*\} (\S+)', re.MULTILINE)
_OTHERS = re.compile(r'^covey_requests_total\{[^}]*method="AnalyzeLearner"[^}]*\} (\S+)', re.MULTILINE)
_START_SECONDS = 120.0


class Set:
    """Replicas behind one address, each on a core."""

    def __init__(self, count: int, directory: Path, store_url: str) -> None:
        self._ports_file = directory / "ports.json"
        command = [sys.executable, "-m", "covey_server.main", "--data-directory", str(directory / "data")]
        for option in ("--listen", "--control-listen", "--metrics-listen"):
            command += [option, "127.0.0.1:0"]
        command += ["--stable", "native", "--log-level", "warning", "--store-url", store_url]
        self._process = subprocess.Popen(
            [*command, "--replicas", str(count), "--ports-file", str(self._ports_file)]
            if count > 1
            else [*command, "--ports-file", str(self._ports_file)]
        )
        deadline = time.monotonic() + _START_SECONDS
        while not self._ports_file.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the replicas did not start; their messages are above")
            time.sleep(0.05)
        ports = json.loads(self._ports_file.read_text())
        replicas = ports.get("replicas", [ports])
        self.port: int = ports["data"]
        self.pids: list[int] = [one["pid"] for one in replicas]
        self._pages = [f"http://127.0.0.1:{one['metrics']}/metrics" for one in replicas]
        for core, pid in enumerate(self.pids):
            pin(pid, {core % (os.cpu_count() or 1)})

    def answered(self) -> list[float]:
        """Calls that each replica has answered well."""
        return [sum(map(float, _COUNTED.findall(page))) for page in self._read()]

    def all_calls(self) -> float:
        """Calls that they have counted, whatever became of them."""
        return sum(sum(map(float, _OTHERS.findall(page))) for page in self._read())

    def cpu_seconds(self) -> float:
        """User and system time of the replicas so far."""
        total = 0.0
        for pid in self.pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return total

    def stop(self) -> None:
        """Drain."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60.0)

    def _read(self) -> list[str]:
        return [urllib.request.urlopen(page, timeout=30).read().decode() for page in self._pages]


def pin(pid: int, cores: set[int]) -> None:
    """Every thread of a process, those that it will start included."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), cores)


def load(one: Set, body: Path, seconds: float, cores: set[int], connections: int) -> dict[str, Any]:
    """Calls from h2load for some seconds: calls a second, processor time of a call here and there."""
    before, counted, cpu = one.answered(), one.all_calls(), one.cpu_seconds()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [program("h2load"), "--threads=1", f"--clients={connections}", "--max-concurrent-streams=2"]
    command += [f"--duration={seconds:g}", "--warm-up-time=0", f"--data={body}", "--header=te: trailers"]
    command += ["--header=content-type: application/grpc"]
    address = f"http://127.0.0.1:{one.port}/covey.v1.AnalyzerService/AnalyzeLearner"
    begin = time.perf_counter()
    subprocess.run(
        ["taskset", "--cpu-list", ",".join(map(str, sorted(cores))), *command, address],
        check=True,
        capture_output=True,
    )
    took = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    calls = [b - a for a, b in zip(before, one.answered(), strict=True)]
    total = sum(calls)
    if not total or one.all_calls() - counted > 1.01 * total:
        raise RuntimeError("calls were refused or failed; there is nothing to measure")
    generator = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return {
        "calls_per_second": total / took,
        "server_us": 1e6 * (one.cpu_seconds() - cpu) / total,
        "generator_us": 1e6 * generator / total,
        "busiest_share": max(calls) / total,
    }


def run(rounds: int, seconds: float, connections: int = 16) -> dict[str, Any]:
    """Both sets in turns."""
    cores = set(range(os.cpu_count() or 1))
    message = bench_wire.questions(1)[0]
    cluster = Cluster()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        body = folder / "question"
        body.write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
        (folder / "one").mkdir()
        (folder / "two").mkdir()
        sets: list[Set] = []
        try:
            sets += [Set(1, folder / "one", cluster.database())]
            sets += [Set(2, folder / "two", cluster.database())]
            rest = (cores - {0}) or cores
            figures: dict[str, list[dict[str, Any]]] = {"one": [], "two": []}
            for number in range(rounds + 1):
                turn = [("one", sets[0], rest), ("two", sets[1], cores)]
                for label, one, where in turn if number % 2 else reversed(turn):
                    measured = load(one, body, seconds, where, connections)
                    if number:  # the first warms up
                        figures[label].append(measured)
        finally:
            for one in sets:
                one.stop()
            cluster.remove()
    return summary(figures, len(message))


def summary(figures: dict[str, list[dict[str, Any]]], question_bytes: int) -> dict[str, Any]:
    """Medians, and the ratio of each round."""
    found: dict[str, Any] = {"cores": os.cpu_count(), "question_bytes": question_bytes}
    for label, rows in figures.items():
        found[label] = {key: statistics.median(row[key] for row in rows) for key in rows[0]}
    pairs = zip(figures["two"], figures["one"], strict=True)
    ratios = sorted(two["calls_per_second"] / one["calls_per_second"] for two, one in pairs)
    found["ratio"] = {"median": statistics.median(ratios), "smallest": ratios[0], "largest": ratios[-1]}
    server, generator = found["two"]["server_us"], found["two"]["generator_us"]
    found["ratio"]["most_here"] = 2 * server / (server + generator)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = run(arguments.rounds, arguments.seconds, arguments.connections)
    for label in ("one", "two"):
        row = found[label]
        print(
            f"{label} replica{'s' if label == 'two' else ''}: {row['calls_per_second']:,.0f} calls/s,"
            f" {row['server_us']:.0f} us of the server's processor and {row['generator_us']:.0f} us of the"
            f" generator's a call; the busiest replica has {row['busiest_share']:.0%}"
        )
    ratio = found["ratio"]
    print(
        f"two over one: {ratio['median']:.2f} ({ratio['smallest']:.2f} to {ratio['largest']:.2f});"
        f" {ratio['most_here']:.2f} is the most that {found['cores']} cores with the generator on them allow"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
