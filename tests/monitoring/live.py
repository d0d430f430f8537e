"""A small installation under a real Prometheus: two controllers, a server with TLS over PostgreSQL, real calls."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml
from controller.receivers import receiver
from programs import free_port, program

from covey.client import CallFailed, Client, Security
from covey.monitoring.objectives import Objectives
from covey.monitoring.rules import groups
from covey.rollout.spec import load_spec
from covey.v1 import analyzer_pb2
from covey_controller.probes import probe_request

READY_SECONDS = 120.0
ANY = "127.0.0.1:0"
OWN = """
target: analyzer
baseline: variants/reference
candidate: variants/native
shadow_share: 25 %
tick_interval: 1s
probe_interval: 1s
phases:
  - name: canary
    traffic_share: 50 %
    hold: 1h
    criteria: [error_rate < 0.01 %, p99 < 200 ms, mismatch < 1 %]
triggers: [{statement: error_rate > 50 %, tolerance: 0}]
"""
# Nothing listens where its router and its metrics should be.
FOREIGN = """
target: echo
baseline: 127.0.0.1:1
candidate: 127.0.0.1:2
tick_interval: 1s
probe_interval: 1s
metrics_grace: 1h
traffic: {haproxy: {routers: ['127.0.0.1:9']}}
metrics: {scrape: {baseline_urls: ['http://127.0.0.1:9/'], candidate_urls: ['http://127.0.0.1:9/x']}}
phases: [{name: canary, traffic_share: 10 %, hold: 1h, max_hold: 9h, criteria: [error_rate < 1 %]}]
triggers: [{statement: error_rate > 50 %, tolerance: 0}]
"""


class Prometheus:
    """A running one."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **parameters: str) -> Any:
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=30) as answer:
            return json.load(answer)["data"]

    def values(self, expression: str) -> list[float]:
        """Of every series that the expression has now."""
        return [float(series["value"][1]) for series in self.get("query", query=expression)["result"]]

    def names(self) -> set[str]:
        """Of every series that was ever there."""
        return set(self.get("label/__name__/values"))


def wait_for(what: str, condition: Any, seconds: float = READY_SECONDS, why: Any = str) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s: {why()}"
        time.sleep(0.1)
    return found


@contextmanager
def process(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as stream:
        running = subprocess.Popen(command, stdout=stream, stderr=stream)
    try:
        yield running
    finally:
        running.terminate()
        running.wait(timeout=60)


@contextmanager
def prometheus(directory: Path, targets: list[str], authority: Path) -> Iterator[Prometheus]:
    """Scrapes every second, and evaluates the rules as often."""
    rules = groups(Objectives())
    for group in rules["groups"]:
        group["interval"] = "1s"
    (directory / "covey.yaml").write_text(yaml.safe_dump(rules))
    job = {
        "job_name": "covey",
        "scheme": "https",
        "tls_config": {"ca_file": str(authority)},
        "static_configs": [{"targets": targets}],
    }
    timing = {"scrape_interval": "1s", "scrape_timeout": "1s"}
    content = {"global": timing, "rule_files": ["covey.yaml"], "scrape_configs": [job]}
    (directory / "prometheus.yaml").write_text(yaml.safe_dump(content))
    url = f"127.0.0.1:{free_port()}"
    command = [
        program("prometheus"),
        f"--config.file={directory / 'prometheus.yaml'}",
        f"--storage.tsdb.path={directory / 'series'}",
        f"--web.listen-address={url}",
    ]
    with process(command, directory / "prometheus.log"):
        made = Prometheus(f"http://{url}")
        wait_for("Prometheus", lambda: _answers(made))
        yield made


def _answers(one: Prometheus) -> bool:
    try:
        return bool(one.get("query", query="vector(1)"))
    except OSError:
        return False


@contextmanager
def installation(directory: Path, authority: Any, store_url: str) -> Iterator[Prometheus]:
    """All of it, with both rollouts running and learners who ask."""
    certificate, key = authority.issue("server")
    own_tls = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    with ExitStack() as stack:
        ports = _started(
            stack,
            "covey_server",
            directory / "server",
            [
                *("--data-directory", str(directory / "data"), "--store-url", store_url, *own_tls),
                *("--listen", ANY, "--control-listen", ANY, "--metrics-listen", ANY),
            ],
        )
        data, metrics = f"127.0.0.1:{ports['data']}", f"https://127.0.0.1:{ports['metrics']}/metrics"
        security = Security(cacert=authority.file)
        client = stack.enter_context(
            Client(control=f"127.0.0.1:{ports['control']}", data=data, actor="ada", security=security)
        )
        for name, plan in (("own", OWN), ("foreign", FOREIGN)):
            client.create_rollout(f"rollouts/{name}", load_spec(plan, name))
            client.start_rollout(f"rollouts/{name}")
        told = stack.enter_context(receiver())
        targets = [f"127.0.0.1:{ports['metrics']}"]
        for target in ("analyzer", "echo"):
            arguments = [
                *("--control", f"127.0.0.1:{ports['control']}", "--cacert", str(authority.file), *own_tls),
                *("--cert", str(certificate), "--key", str(key), "--target", target, "--metrics-listen", ANY),
                *("--replica", f"data={data},metrics={metrics}", "--webhook", told.url),
            ]
            driving = _started(stack, "covey_controller", directory / target, arguments)
            targets.append(f"127.0.0.1:{driving['metrics']}")
        stopping = threading.Event()
        asking = threading.Thread(target=_ask, args=(client, stopping))
        asking.start()
        stack.callback(asking.join)
        stack.callback(stopping.set)
        yield stack.enter_context(prometheus(directory, targets, authority.file))


def _started(stack: ExitStack, module: str, place: Path, arguments: list[str]) -> dict[str, int]:
    ports = place.with_suffix(".json")
    log = place.with_suffix(".log")
    command = [sys.executable, "-m", f"{module}.main", *arguments, "--ports-file", str(ports)]
    running = stack.enter_context(process(command, log))
    wait_for(module, lambda: ports.exists() or running.poll() is not None)
    assert ports.exists(), log.read_text()
    found: dict[str, int] = json.loads(ports.read_text())
    return found


def _ask(client: Client, stopping: threading.Event) -> None:
    """Hundreds of learners a second, none of them twice."""
    first = 0
    while not stopping.wait(0.2):
        message = analyzer_pb2.AnalyzeLearnersRequest()
        for number in range(first, first + 60):
            message.requests.add().CopyFrom(probe_request())
            message.requests[-1].learner_id = f"learner-{number}"
        first += 60
        try:
            for _ in client.analyze_learners([message], timeout_seconds=30.0):
                pass
        except CallFailed:  # a machine that is busy with other things; what is not asked is not counted
            continue
