"""Who splits the traffic of a foreign service: what the plan may say, and what it may not."""

from __future__ import annotations

import pytest

from covey.rollout.check import check_spec
from covey.rollout.spec import SpecError, dump_spec, load_spec, spec_digest, with_defaults
from covey.rollout.traffic import addresses, host_and_port, is_foreign, limit_sides, randomised_unit, splitter

from .foreign import SCRAPE, foreign_plan
from .world import plan

XDS = "xds: {}"
PROMETHEUS = """prometheus: {url: 'http://127.0.0.1:9090', baseline_selector: '{version="1"}',
    candidate_selector: '{version="2"}'}"""


def test_a_plan_of_a_foreign_service_is_read_and_written() -> None:
    spec = load_spec(foreign_plan(), "echo.yaml")
    assert is_foreign(spec)
    assert load_spec(dump_spec(spec), "again") == spec
    full = with_defaults(spec)
    assert (full.baseline, full.candidate) == ("127.0.0.1:7001", "127.0.0.1:7002")
    assert full.traffic.haproxy.header == "x-covey-learner"
    assert full.metrics.requests == "grpc_server_handled_total"
    assert full.metrics.start_time == "process_start_time_seconds"
    assert full.shadow_share == 0
    assert with_defaults(full) == full


def test_the_unit_that_is_randomised_follows_from_the_router() -> None:
    assert randomised_unit(plan()) == "learner"
    haproxy = with_defaults(load_spec(foreign_plan(), "plan"))
    xds = with_defaults(load_spec(foreign_plan(XDS, PROMETHEUS), "plan"))
    assert (randomised_unit(haproxy), randomised_unit(xds)) == ("learner", "request")
    assert "x-covey-learner" in splitter(haproxy)
    assert "xds:///echo" in splitter(xds)


def test_a_plan_without_traffic_keeps_its_digest() -> None:
    full = with_defaults(plan())
    assert not full.HasField("traffic")
    assert not full.HasField("metrics")
    assert spec_digest(full) == spec_digest(plan())


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (foreign_plan(criteria="revenue > -3 %"), 16, "not recorded"),
        (foreign_plan(XDS, criteria="segments(engagement) < 5 %"), 16, "every learner meets both variants"),
        (foreign_plan(criteria="mismatch < 1 %"), 16, "twice"),
        (foreign_plan(XDS, more="outcomes: [{metric: revenue}]"), 11, "every learner meets both variants"),
        (foreign_plan(more="on_segment_harm: exclude"), 11, "not recorded"),
        (foreign_plan(more="shadow_share: 1 %"), 11, "twice"),
        (foreign_plan("self: {}"), 8, "expected haproxy or xds"),
        (foreign_plan("haproxy: {}"), 8, "control socket"),
        (foreign_plan("haproxy: {routers: [haproxy.sock]}"), 8, "unix:/path or HOST:PORT"),
        (foreign_plan("haproxy: {routers: ['127.0.0.1:1', '127.0.0.1:1']}"), 8, "twice"),
        (foreign_plan("haproxy: {routers: ['10.0.0.7:9999']}"), 8, "whoever reaches it moves the traffic"),
        (foreign_plan("haproxy: {routers: ['router.internal:9999']}"), 8, "tunnel"),
        (foreign_plan("haproxy: {routers: ['127.0.0.1:1'], header: 'X: y'}"), 8, "no header"),
        (foreign_plan("xds: {service: 'a b'}"), 8, "no name"),
        (foreign_plan("xds: {}\n  haproxy: {routers: ['127.0.0.1:1']}"), 7, "exclude each other"),
        (foreign_plan(baseline="localhost"), 2, "no HOST:PORT"),
        (foreign_plan(baseline="'127.0.0.1:70000'"), 2, "no HOST:PORT"),
        (foreign_plan(XDS, baseline="echo.example:1"), 2, "expected an IP address"),
        (foreign_plan(candidate="'127.0.0.1:7002,127.0.0.1:7001'"), 3, "told apart"),
        (foreign_plan(candidate="'127.0.0.1:7002,127.0.0.1:7002'"), 3, "twice"),
        (foreign_plan(metrics="requests: echo_total"), 9, "scrape or prometheus"),
        (foreign_plan(metrics="scrape: {baseline_urls: ['http://a:1/m']}"), 10, "page of every process"),
        (foreign_plan(metrics=SCRAPE.replace("9002", "9001")), 10, "counts for one variant"),
        (foreign_plan(metrics=SCRAPE.replace("http:", "https:")), 10, "http://HOST:PORT/metrics"),
        (foreign_plan(metrics=SCRAPE + "\n  requests: a-b"), 11, "no name of a metric"),
        (foreign_plan(metrics=SCRAPE + "\n  labels: [{name: grpc_code, value: OK}]"), 11, "no name of a label"),
        (foreign_plan(metrics=PROMETHEUS.replace('{version="2"}', 'up{version="2"}')), 11, "selects no processes"),
        (foreign_plan(metrics=PROMETHEUS.replace('{version="2"}', '{a="1"} or {a="2"}')), 11, "selects no processes"),
        (foreign_plan(metrics=PROMETHEUS.replace('{version="2"}', '{version="1"}')), 11, "told apart"),
    ],
)
def test_what_cannot_work_is_an_error_with_its_line(text: str, line: int, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(text, "echo.yaml")
    messages = str(caught.value).splitlines()
    place, _, _ = messages[0].partition(": ")
    assert place == f"echo.yaml:{line}", messages
    assert all(said in message for message in messages)


def test_the_analyzer_splits_and_counts_for_itself() -> None:
    spec = plan()
    spec.traffic.haproxy.routers.append("unix:/run/haproxy.sock")
    (error,) = (finding for finding in check_spec(spec) if finding.level == "error")
    assert error.path == "traffic.haproxy"
    assert "splits and counts its own traffic" in error.message


def test_a_limit_that_two_sides_need_must_be_an_edge() -> None:
    spec = load_spec(foreign_plan(criteria="p99 < 200 ms", trigger="p99 > 200 ms"), "plan")
    assert limit_sides(spec) == {0.2: frozenset({"below", "above"})}
    assert any("edge of the histogram itself" in finding.message for finding in check_spec(spec))
    apart = load_spec(foreign_plan(criteria="p99 < 200 ms", trigger="p99 > 250 ms"), "plan")
    assert limit_sides(apart) == {0.2: frozenset({"below"}), 0.25: frozenset({"above"})}
    assert not any(finding.path == "triggers" for finding in check_spec(apart))


def test_addresses_are_taken_apart() -> None:
    assert addresses("10.0.0.1:1, [::1]:2") == ("10.0.0.1:1", "[::1]:2")
    assert host_and_port("[::1]:2") == ("::1", 2)
    with pytest.raises(ValueError, match="no HOST:PORT"):
        host_and_port("::1:2")
