"""A real Prometheus between two echos and the controller: the same counters, and every absence of its kind."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from programs import free_port, program
from waiting import wait_until

from covey.rollout.spec import load_spec, with_defaults
from covey.v1 import evidence_pb2 as pb
from covey.v1.rollout_spec_pb2 import RolloutSpec
from covey_controller.config import ScrapeLimits
from covey_controller.prometheus import ask, query_of
from covey_controller.scrape import AbsenceError
from covey_controller.sources import PrometheusPages
from covey_controller.traffic.actuator import shows

from .echo import Echo, say, two_echos
from .pages import http, sending, serving

LIMITS = ScrapeLimits(5.0, 5.0, 10.0)
ROUTERS = [("haproxy", shows("haproxy", 1000, 1.0))]
SERIES = frozenset({"grpc_server_handled_total", "grpc_server_handling_seconds_bucket", "process_start_time_seconds"})


@dataclass
class Prometheus:
    """A running server that scrapes both echos every 200 ms."""

    url: str
    echos: tuple[Echo, Echo]

    def spec(self, **selectors: str) -> RolloutSpec:
        baseline = selectors.get("baseline", '{job="echo",version="1"}')
        candidate = selectors.get("candidate", '{job="echo",version="2"}')
        text = f"""
target: echo
baseline: {self.echos[0].address}
candidate: {self.echos[1].address}
traffic: {{xds: {{}}}}
metrics:
  prometheus:
    url: {self.url}
    baseline_selector: '{baseline}'
    candidate_selector: '{candidate}'
phases:
  - {{name: canary, traffic_share: 10 %, hold: 5m, criteria: [p99 < 300 ms, p99 not worse than baseline]}}
triggers: [error_rate > 10 %]
"""
        return with_defaults(load_spec(text, "plan"))


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    binary = program("prometheus")
    directory: Path = tmp_path_factory.mktemp("prometheus")
    with two_echos() as echos:
        jobs = [
            {"targets": [echo.metrics_url.split("/")[2]], "labels": {"version": version}}
            for version, echo in zip("12", echos, strict=True)
        ]
        configuration = {
            "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms"},
            "scrape_configs": [{"job_name": "echo", "static_configs": jobs}],
        }
        (directory / "prometheus.yml").write_text(json.dumps(configuration))  # JSON is YAML
        port = free_port()
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    binary,
                    f"--config.file={directory / 'prometheus.yml'}",
                    f"--storage.tsdb.path={directory / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdout=log,
                stderr=log,
            )
        try:
            made = Prometheus(f"http://127.0.0.1:{port}", echos)
            wait_until(lambda: ready(made.url), why=(directory / "log").read_text)
            yield made
        finally:
            process.kill()
            process.wait(timeout=30)


def ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def counted(pages: PrometheusPages) -> tuple[list[pb.ReplicaReading], list[pb.Absence]]:
    gathered = pages.look({}, ROUTERS, time.time() - 60)
    return list(gathered.readings), list(gathered.absences)


def test_processes_are_read_by_promql_with_their_router(prometheus: Prometheus) -> None:
    for calls, echo in zip((40, 10), prometheus.echos, strict=True):
        with grpc.insecure_channel(echo.address) as channel:
            assert set(say(channel, ["x"] * calls)) == {grpc.StatusCode.OK}
    pages = PrometheusPages(prometheus.spec(), LIMITS)

    def is_complete() -> bool:
        readings, _ = counted(pages)
        return [[v.request_count for v in reading.variants] for reading in readings] == [[], [40], [10]]

    try:
        wait_until(is_complete, why=lambda: counted(pages))
        readings, absences = counted(pages)
    finally:
        pages.close()
    assert not absences
    router, baseline, candidate = readings
    assert router.candidate_weight_bp == 1000
    assert baseline.replica.startswith("baseline 127.0.0.1:")
    assert candidate.behind_router
    assert candidate.candidate_weight_bp == 1000
    assert candidate.variants[0].variant == prometheus.echos[1].address
    (over,) = candidate.variants[0].over_limits
    assert (over.limit_seconds, over.edge_seconds) == (0.3, 0.25)
    assert sum(candidate.durations[0].request_counts) == 10


def test_what_prometheus_does_not_know_is_no_series(prometheus: Prometheus) -> None:
    pages = PrometheusPages(prometheus.spec(candidate='{job="echo",version="3"}'), LIMITS)
    try:
        _, absences = counted(pages)
    finally:
        pages.close()
    assert [(absence.replica, absence.type) for absence in absences] == [("candidate", pb.ABSENCE_TYPE_NO_SERIES)]


def test_samples_from_before_the_limit_are_stale(prometheus: Prometheus) -> None:
    """Prometheus would show them for five minutes as though they were of now."""
    pages = PrometheusPages(prometheus.spec(), LIMITS)
    try:
        assert wait_until(lambda: len(counted(pages)[0]) == 3, 30)
        absences = pages.look({}, ROUTERS, time.time() + 60).absences
    finally:
        pages.close()
    assert {absence.type for absence in absences} == {pb.ABSENCE_TYPE_STALE}


def test_a_server_that_is_away_is_a_failed_scrape(prometheus: Prometheus) -> None:
    spec = prometheus.spec()
    spec.metrics.prometheus.url = "http://127.0.0.1:1"
    pages = PrometheusPages(spec, LIMITS)
    try:
        readings, absences = counted(pages)
    finally:
        pages.close()
    assert [reading.replica for reading in readings] == ["haproxy"], "the router is known all the same"
    assert {absence.type for absence in absences} == {pb.ABSENCE_TYPE_SCRAPE_FAILED}


def test_a_selector_that_is_no_promql_is_a_failed_scrape(prometheus: Prometheus) -> None:
    with pytest.raises(AbsenceError) as absence:
        ask(prometheus.url, "{job=echo}", SERIES, limits=LIMITS, oldest_timestamp=0)
    assert absence.value.kind == pb.ABSENCE_TYPE_SCRAPE_FAILED


def sample(name: str, value: str, stamp: float = 1000.0, **labels: str) -> dict[str, object]:
    return {"metric": {"__name__": name, "instance": "a:1", **labels}, "values": [[stamp, value]]}


def answer(*series: dict[str, object]) -> str:
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": list(series)}})


START = sample("process_start_time_seconds", "900")
OK = {"grpc_code": "OK"}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (answer(START, sample("grpc_server_handled_total", "NaN", **OK)), pb.ABSENCE_TYPE_NAN),
        (answer(START, sample("grpc_server_handled_total", "+Inf", **OK)), pb.ABSENCE_TYPE_NAN),
        (answer(START, sample("grpc_server_handled_total", "-1", **OK)), pb.ABSENCE_TYPE_NAN),
        (answer(START, sample("grpc_server_handled_total", "1", 10.0, **OK)), pb.ABSENCE_TYPE_STALE),
        (answer(sample("grpc_server_handled_total", "1", **OK)), pb.ABSENCE_TYPE_NO_SERIES),
        (answer(START), pb.ABSENCE_TYPE_NO_SERIES),
        (answer(START, sample("process_start_time_seconds", "901", pod="b")), pb.ABSENCE_TYPE_DUPLICATE_SERIES),
        (answer(), pb.ABSENCE_TYPE_NO_SERIES),
        (answer({"metric": {}, "values": []}), pb.ABSENCE_TYPE_SCRAPE_FAILED),
        (answer(START).replace("matrix", "vector"), pb.ABSENCE_TYPE_SCRAPE_FAILED),
        (answer(START).replace("success", "error"), pb.ABSENCE_TYPE_SCRAPE_FAILED),
        ("[]", pb.ABSENCE_TYPE_SCRAPE_FAILED),
        ("{", pb.ABSENCE_TYPE_SCRAPE_FAILED),
        ("x" * (9 << 20), pb.ABSENCE_TYPE_SCRAPE_FAILED),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else None,
)
def test_every_doubtful_answer_is_an_absence_of_its_kind(body: str, kind: pb.AbsenceType.ValueType) -> None:
    data = http(body, headers="Content-Type: application/json\r\n")
    with serving(sending(data)) as server:
        url = server.url.removesuffix("/metrics")
        spec = with_defaults(load_spec(PLAN.format(url=url), "plan"))
        pages = PrometheusPages(spec, LIMITS)
        try:
            absences = pages.look({}, ROUTERS, 940.0).absences
        finally:
            pages.close()
    assert absences
    assert {absence.type for absence in absences} == {kind}


PLAN = """
target: echo
baseline: 127.0.0.1:7001
candidate: 127.0.0.1:7002
traffic: {{xds: {{}}}}
metrics: {{prometheus: {{url: '{url}', baseline_selector: '{{a="1"}}', candidate_selector: '{{a="2"}}'}}}}
phases:
  - {{name: canary, traffic_share: 10 %, hold: 5m, criteria: [error_rate < 5 %]}}
triggers: [error_rate > 10 %]
"""


def test_the_question_is_for_raw_samples_of_the_named_series() -> None:
    query = query_of('{job="echo", version="1",}', {"b_total", "a_total"})
    assert query == '{__name__=~"a_total|b_total",job="echo", version="1"}[2m]'
