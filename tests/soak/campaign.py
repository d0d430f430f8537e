"""A server and a controller under every kind of call for an hour: do they keep their memory? `make soak`.

Leaves .cache/soak/report.json and .cache/soak/memory.svg. Exit status 1 where memory grows, where its peak is above
what was promised, where a call ended as none should, or where one kind of call was never answered.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import grpc
from controller.receivers import receiver
from google.protobuf.descriptor_pb2 import FileDescriptorSet

import covey.v1
from covey.demo.supervisor import Supervisor

from .connection import Server
from .experiments import Experiments
from .judge import judge
from .people import People
from .picture import draw
from .services import Caller, Services
from .studies import Studies
from .watch import Watch

PLACE = Path(".cache/soak")
BUDGET_MEBIBYTES = 128
LONGEST_WARM_UP_SECONDS = 600.0
# From then on every method must have been answered.
SECONDS_OF_EVERYTHING = 300.0
_MOST_SURPRISES = 20
_ANY = "127.0.0.1:0"
# Of the controller, which is counted by what it does.
NOT_OURS = frozenset({"AcquireLease", "CommitDecision", "PullNotifications", "AdvanceNotifications"})
_REFUSED_ANYWHERE = frozenset({grpc.StatusCode.RESOURCE_EXHAUSTED})


class Load:
    """Callers, each on a thread of its own, until they are told to stop.

    Attributes:
        surprises: what went wrong that should not; the first few.
    """

    def __init__(self, callers: Sequence[Caller], is_stopping: threading.Event) -> None:
        self.surprises: list[str] = []
        self.done: Counter[str] = Counter()
        self._is_stopping = is_stopping
        self._threads = [threading.Thread(target=self._run, args=(one,), name=one.name) for one in callers]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._is_stopping.set()
        for thread in self._threads:
            thread.join()

    def _run(self, caller: Caller) -> None:
        self._is_stopping.wait(caller.seconds_before)
        while not self._is_stopping.is_set():
            try:
                caller.act()
                self.done[caller.name] += 1
            except grpc.RpcError as error:
                if error.code() not in _REFUSED_ANYWHERE:
                    self._surprise(caller, error)
            except Exception as error:
                self._surprise(caller, error)
            self._is_stopping.wait(caller.seconds_between)

    def _surprise(self, caller: Caller, error: Exception) -> None:
        if len(self.surprises) < _MOST_SURPRISES:
            self.surprises.append(f"{caller.name}: {error!r}"[:1000])


def soak(seconds: float, *, interval_seconds: float, seed: int, place: Path, out: Path) -> dict[str, Any]:
    """Runs it.

    Args:
        seconds: under load.
        interval_seconds: between samples.
        seed: of everything that is random.
        place: for data and logs of the processes.
        out: for the report and its picture.

    Returns:
        The report.
    """
    warm_up_seconds = min(LONGEST_WARM_UP_SECONDS, seconds / 4)
    with ExitStack() as stack:
        supervisor = stack.enter_context(Supervisor(place))
        hook = stack.enter_context(receiver())
        ports, pids = _started(supervisor, place, hook.url)
        server = Server(f"127.0.0.1:{ports['data']}", f"127.0.0.1:{ports['control']}", ports["page"])
        stack.callback(server.close)
        is_stopping = threading.Event()
        people = People(server, seed, is_stopping)
        others = (
            Services(server, seed, is_stopping),
            Studies(server, place / "data", seed, is_stopping),
            Experiments(server, seed, is_stopping),
        )
        with ThreadPoolExecutor(len(others)) as pool:
            list(pool.map(lambda each: each.first_calls(), others))
        watch = Watch(pids, interval_seconds)
        load = Load([*(one for each in others for one in each.callers()), people.caller()], is_stopping)
        begun = time.monotonic()
        while time.monotonic() - begun < seconds and not watch.ended:
            if is_stopping.wait(min(60.0, max(0.0, seconds - (time.monotonic() - begun)))):
                break
            _say(time.monotonic() - begun, watch.latest, load)
        # Samples of a load that ebbs away are none of the load.
        samples = watch.stop()
        load.stop()
        told = len(hook.keys)
    verdicts = [
        judge(one, warm_up_seconds=warm_up_seconds, budget_mebibytes=BUDGET_MEBIBYTES if one.process == "server" else 0)
        for one in samples
    ]
    codes = server.counted.codes()
    problems = [problem for verdict in verdicts for problem in verdict.problems]
    problems += [f"{name} ended while it was watched" for name in watch.ended] + load.surprises
    if seconds >= SECONDS_OF_EVERYTHING:
        problems += unanswered(codes)
        if not told or not people.ends["SUCCEEDED"]:
            problems.append(f"the controller told {told} transitions; rollouts ended as {dict(people.ends)}")
    report = {
        "seconds": seconds,
        "warm_up_seconds": warm_up_seconds,
        "seed": seed,
        "budget_mebibytes": BUDGET_MEBIBYTES,
        "verdicts": [asdict(verdict) for verdict in verdicts],
        "calls": codes,
        "acts": dict(sorted(load.done.items())),
        "rollouts": dict(people.ends),
        "transitions_told": told,
        "problems": problems,
        "samples": [asdict(one) for one in samples],
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps(report) + "\n")
    draw(samples, verdicts, warm_up_seconds, out / "memory.svg")
    return report


def _started(supervisor: Supervisor, place: Path, webhook: str) -> tuple[dict[str, Any], dict[str, int]]:
    """A server and its controller, ready."""
    server_ports, controller_ports = place / "server.json", place / "controller.json"
    command = [sys.executable, "-m", "covey_server.main", "--data-directory", str(place / "data"), "--listen", _ANY]
    command += ["--control-listen", _ANY, "--metrics-listen", _ANY, "--ports-file", str(server_ports)]
    command += ["--memory-megabytes", str(BUDGET_MEBIBYTES), "--call-deadline", "30", "--log-level", "error"]
    server = supervisor.start("server", lambda: command)
    ports = json.loads(supervisor.wait_for_file(server, server_ports, seconds=60))
    ports["page"] = f"http://127.0.0.1:{ports['metrics']}/metrics"
    other = [sys.executable, "-m", "covey_controller.main", "--control", f"127.0.0.1:{ports['control']}"]
    other += ["--replica", f"data=127.0.0.1:{ports['data']},metrics={ports['page']}", "--webhook", webhook]
    other += ["--metrics-listen", _ANY, "--poll-seconds", "0.5", "--ports-file", str(controller_ports)]
    controller = supervisor.start("controller", lambda: other)
    pid = json.loads(supervisor.wait_for_file(controller, controller_ports, seconds=60))["pid"]
    return ports, {"server": ports["pid"], "controller": pid}


def methods_of_the_contract() -> dict[str, list[str]]:
    """The RPCs of covey.v1 by service, also of services that came later than this file."""
    shipped = Path(next(iter(covey.v1.__path__))) / "covey.binpb"
    files = FileDescriptorSet.FromString(shipped.read_bytes()).file
    services = [service for file in files if file.package == "covey.v1" for service in file.service]
    return {service.name: [method.name for method in service.method] for service in services}


def unanswered(codes: Mapping[str, Mapping[str, int]]) -> list[str]:
    """What is wrong with calls by method and code: RPCs that were never answered OK."""
    ours = {method for methods in methods_of_the_contract().values() for method in methods} - NOT_OURS
    return [f"{method} was never answered" for method in sorted(ours) if not codes.get(method, {}).get("OK")]


def _say(elapsed: float, latest: dict[str, float], load: Load) -> None:
    memory = ", ".join(f"{name} {value:.1f} MiB" for name, value in latest.items())
    print(f"{elapsed / 60:6.1f} min: {memory}; {sum(load.done.values()):,} acts", flush=True)


def main() -> int:
    """Run it and say what came of it."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, required=True, help="under load")
    parser.add_argument("--interval-seconds", type=float, default=1.0, help="between samples (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=PLACE, metavar="FOLDER", help="(%(default)s)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix=f"covey-soak-{os.getpid()}-") as place:
        report = soak(
            given.seconds,
            interval_seconds=given.interval_seconds,
            seed=given.seed,
            place=Path(place),
            out=given.out,
        )
    for verdict in report["verdicts"]:
        low, high = verdict["slope_interval_mebibytes"]
        print(
            f"{verdict['process']:10} {verdict['slope_mebibytes']:+.2f} MiB in 10 min ({low:+.2f} to {high:+.2f}), "
            f"{verdict['rest_mebibytes']:.0f} MiB at rest, {verdict['peak_mebibytes']:.0f} MiB at most"
        )
    counts = Counter[str]()
    for codes in report["calls"].values():
        counts.update(codes)
    print(f"{sum(counts.values()):,} calls: " + ", ".join(f"{code} {count:,}" for code, count in counts.most_common()))
    print(f"rollouts: {report['rollouts']}; {report['transitions_told']} transitions told")
    for problem in report["problems"]:
        print(problem, file=sys.stderr)
    return 1 if report["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
