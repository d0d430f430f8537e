"""The metrics port: names as the design has them, few connections, only two paths."""

from __future__ import annotations

import socket
import threading
import urllib.error
import urllib.request
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from covey.v1 import analyzer_pb2
from covey_server.metrics.counters import DURATION_EDGES_SECONDS

from .running import NATIVE, REFERENCE, ServedHere, question

NAMES = {
    "covey_requests": "counter",
    "covey_request_duration_seconds": "histogram",
    "covey_requests_over_limit": "counter",
    "covey_shard_requests": "counter",
    "covey_learners": "gauge",
    "covey_outcome_count": "gauge",
    "covey_outcome_sum": "gauge",
    "covey_outcome_sumsq": "gauge",
    "covey_outcome_center": "gauge",
    "covey_outcome_nonzero": "gauge",
    "covey_shadow": "counter",
    "covey_rollout_weight_ratio": "gauge",
    "covey_build_info": "gauge",
    "covey_server_start_time_seconds": "gauge",
    "covey_store_unwritable_seconds": "gauge",
    "covey_store_unread_seconds": "gauge",
    "covey_store_unfollowed_seconds": "gauge",
    "covey_store_ballast_bytes": "gauge",
    "covey_store_ballast_wanted_bytes": "gauge",
    "covey_rollout_info": "gauge",
    "covey_rollout_last_tick_timestamp_seconds": "gauge",
    "covey_rollout_tick_interval_seconds": "gauge",
}


def fetch(server: ServedHere, path: str, **options: Any) -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{server.metrics_port}{path}", **options)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


def test_every_family_of_the_design_is_on_the_page_once_a_rollout_runs(server: ServedHere) -> None:
    server.split(1_000)
    families = list(text_string_to_metric_families(server.page()))
    assert {family.name: family.type for family in families} == NAMES
    assert len(families) == len(NAMES)


def test_zeros_are_shown_for_what_a_rollout_counts(server: ServedHere) -> None:
    server.split(0, limits_seconds=(0.2, 0.25))
    for variant in (REFERENCE, NATIVE):
        assert server.samples("covey_requests_total", variant=variant, method="AnalyzeLearner") == {
            (("code", "OK"),): 0
        }
        over = server.samples("covey_requests_over_limit_total", variant=variant, method="AnalyzeLearners")
        assert over == {(("limit_seconds", "0.2"),): 0, (("limit_seconds", "0.25"),): 0}
    assert set(server.samples("covey_shadow_total", rollout="rollouts/test").values()) == {0}


def test_the_histogram_has_the_grid_and_adds_up(server: ServedHere) -> None:
    for _ in range(5):
        server.analyzer.AnalyzeLearner(question("1"), timeout=10)
    buckets = server.samples("covey_request_duration_seconds_bucket", method="AnalyzeLearner", variant=REFERENCE)
    by_edge = {float(dict(labels)["le"]): count for labels, count in buckets.items()}
    assert sorted(by_edge) == [*DURATION_EDGES_SECONDS, float("inf")]
    counts = [by_edge[edge] for edge in sorted(by_edge)]
    assert counts == sorted(counts)
    assert counts[-1] == 5


def test_no_learner_is_named_on_the_page(server: ServedHere) -> None:
    server.split(5_000)
    server.analyzer.AnalyzeLearner(question("a-very-secret-learner", segment="north"), timeout=10)
    assert "secret" not in server.page()


def test_only_two_paths_and_one_method_are_served(server: ServedHere) -> None:
    assert fetch(server, "/healthz") == (200, "SERVING\n")
    assert fetch(server, "/")[0] == 404
    assert fetch(server, "/metrics", method="POST", data=b"x")[0] == 501


def test_connections_that_do_nothing_do_not_keep_others_out_for_long(server: ServedHere) -> None:
    idle = [socket.create_connection(("127.0.0.1", server.metrics_port)) for _ in range(6)]
    try:
        assert fetch(server, "/metrics")[0] == 200
    finally:
        for connection in idle:
            connection.close()


def test_a_scrape_is_never_torn_while_calls_run(server: ServedHere) -> None:
    stopping = threading.Event()

    def ask() -> None:
        while not stopping.is_set():
            server.analyzer.AnalyzeLearner(question("1"), timeout=10)

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for thread in asking:
        thread.start()
    try:
        for _ in range(10):
            totals = {"requests": 0.0, "durations": 0.0, "shards": 0.0}
            for family in text_string_to_metric_families(server.page()):
                for sample in family.samples:
                    if sample.name == "covey_requests_total":
                        totals["requests"] += sample.value
                    elif sample.name == "covey_request_duration_seconds_count":
                        totals["durations"] += sample.value
                    elif sample.name == "covey_shard_requests_total":
                        totals["shards"] += sample.value
            assert totals["requests"] == totals["durations"] == totals["shards"]
    finally:
        stopping.set()
        for thread in asking:
            thread.join(20)


def test_a_draining_server_is_not_healthy(server: ServedHere) -> None:
    info = server.analyzer.GetServerInfo(analyzer_pb2.GetServerInfoRequest(), timeout=10)
    assert server.samples("covey_server_start_time_seconds")[()] == pytest.approx(
        info.start_time.ToMicroseconds() / 1e6, abs=1e-3
    )
    server.room._health.draining()
    assert fetch(server, "/healthz")[0] == 503
