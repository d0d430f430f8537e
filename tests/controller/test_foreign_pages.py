"""Pages of foreign processes: what is counted, and every way in which they are no evidence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from covey.rollout.spec import load_spec, with_defaults
from covey.rollout.traffic import Side
from covey.v1 import evidence_pb2 as pb
from covey_controller.foreign import ForeignSubject, Process, canonical_code, gather_foreign, read_process
from covey_controller.histogram import safe_edge
from covey_controller.page import Page
from covey_controller.scrape import AbsenceError, scrape_failed
from covey_controller.traffic.actuator import shows

from .pages import START

PLAN = """
target: echo
baseline: 127.0.0.1:7001
candidate: 127.0.0.1:7002
traffic: {haproxy: {routers: ['unix:/run/covey.sock']}}
metrics:
  scrape: {baseline_urls: ['http://127.0.0.1:9001/m'], candidate_urls: ['http://127.0.0.1:9002/m']}
  labels: [{name: grpc_service, value: echo.Echo}]
phases:
  - {name: canary, traffic_share: 10 %, hold: 5m, criteria: [p99 < 300 ms]}
triggers: [p99 > 400 ms]
"""
SUBJECT = ForeignSubject.of(with_defaults(load_spec(PLAN, "plan")))
HONEST = f"""# TYPE grpc_server_handled_total counter
grpc_server_handled_total{{grpc_service="echo.Echo",grpc_method="Say",grpc_code="OK"}} 90
grpc_server_handled_total{{grpc_service="echo.Echo",grpc_method="Say",grpc_code="Internal"}} 4
grpc_server_handled_total{{grpc_service="echo.Echo",grpc_method="Ask",grpc_code="Unavailable"}} 3
grpc_server_handled_total{{grpc_service="echo.Echo",grpc_method="Ask",grpc_code="NotFound"}} 2
grpc_server_handled_total{{grpc_service="echo.Echo",grpc_method="Ask",grpc_code="ResourceExhausted"}} 1
grpc_server_handled_total{{grpc_service="grpc.health.v1.Health",grpc_method="Check",grpc_code="OK"}} 5000
# TYPE grpc_server_handling_seconds histogram
grpc_server_handling_seconds_bucket{{grpc_service="echo.Echo",le="0.25"}} 80
grpc_server_handling_seconds_bucket{{grpc_service="echo.Echo",le="0.5"}} 95
grpc_server_handling_seconds_bucket{{grpc_service="echo.Echo",le="+Inf"}} 100
process_start_time_seconds {START}
"""


def page(text: str = HONEST) -> Page:
    return Page(text, lines=1000, oldest_timestamp=START, wanted=SUBJECT.series, bulk=frozenset())


def read(text: str = HONEST, subject: ForeignSubject = SUBJECT) -> pb.ReplicaReading:
    return read_process(page(text), "candidate 127.0.0.1:9002", "127.0.0.1:7002", subject)


def test_an_honest_page_is_counted_by_code_and_on_the_safe_side_of_each_limit() -> None:
    reading = read()
    assert reading.behind_router
    assert reading.server_start_time_seconds == START
    (counters,) = reading.variants
    assert counters.request_count == 99
    assert counters.error_count == 7
    assert counters.unavailable_count == 3
    assert counters.shed_count == 1
    overs = [(over.limit_seconds, over.edge_seconds, over.request_count) for over in counters.over_limits]
    # The criterion's 300 ms at the edge before it, the trigger's 400 ms at the edge after.
    assert overs == [(0.3, 0.25, 20), (0.4, 0.5, 5)]


@pytest.mark.parametrize(
    ("limit", "sides", "edge"),
    [
        (0.3, {"below"}, 0.25),
        (0.3, {"above"}, 0.5),
        (0.25, {"below"}, 0.25),
        (0.25, {"above"}, 0.25),
        (0.25, {"below", "above"}, 0.25),
        (0.3, {"below", "above"}, None),
        (0.01, {"below"}, None),
        (0.01, {"above"}, 0.1),
        (2.0, {"above"}, None),
        (2.0, {"below"}, 1.0),
    ],
)
def test_the_edge_that_stands_in_for_a_limit(limit: float, sides: set[Side], edge: float | None) -> None:
    assert safe_edge((0.1, 0.25, 0.5, 1.0), limit, frozenset(sides)) == edge


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (("process_start_time_seconds", "other_start"), pb.ABSENCE_TYPE_NO_SERIES),
        ((f"seconds {START}", f"seconds {START}\nprocess_start_time_seconds 1"), pb.ABSENCE_TYPE_DUPLICATE_SERIES),
        ((f"process_start_time_seconds {START}", "process_start_time_seconds 0"), pb.ABSENCE_TYPE_NAN),
        (("} 90", "} NaN"), pb.ABSENCE_TYPE_NAN),
        (("} 90", "} -90"), pb.ABSENCE_TYPE_NAN),
        (("} 90", "} 90.5"), pb.ABSENCE_TYPE_NAN),
        (("} 90", "} +Inf"), pb.ABSENCE_TYPE_NAN),
        (("} 90", "} 90 1"), pb.ABSENCE_TYPE_STALE),
        (('grpc_code="Internal"', 'grpc_code="OK"'), pb.ABSENCE_TYPE_DUPLICATE_SERIES),
        (('grpc_code="Internal"', 'code="Internal"'), pb.ABSENCE_TYPE_NO_SERIES),
        (('le="0.5"} 95', 'le="0.5"} 70'), pb.ABSENCE_TYPE_SCRAPE_FAILED),
        (('le="+Inf"} 100', 'le="9"} 100'), pb.ABSENCE_TYPE_SCRAPE_FAILED),
        (('le="0.25"', 'le="fast"'), pb.ABSENCE_TYPE_NAN),
        (('le="+Inf"} 100', 'le="+Inf"} 200'), pb.ABSENCE_TYPE_SCRAPE_FAILED),
        (("seconds_bucket", "seconds_pail"), pb.ABSENCE_TYPE_NO_SERIES),
        (('le="0.25"', 'le="0.31"'), pb.ABSENCE_TYPE_NO_SERIES),
        (('le="0.5"', 'le="0.35"'), pb.ABSENCE_TYPE_NO_SERIES),
    ],
)
def test_every_doubt_is_an_absence_of_its_kind(change: tuple[str, str], kind: pb.AbsenceType.ValueType) -> None:
    text = HONEST.replace(*change)
    assert text != HONEST
    with pytest.raises(AbsenceError) as absence:
        read(text)
    assert absence.value.kind == kind, absence.value


def test_a_page_without_the_counter_is_no_zero_and_one_without_calls_is() -> None:
    lines = [line for line in HONEST.splitlines() if not line.startswith("grpc_server")]
    never_called = "\n".join(lines) + "\n"
    (counters,) = read(never_called).variants
    assert counters.request_count == 0
    assert [over.limit_seconds for over in counters.over_limits] == [0.3, 0.4]
    with pytest.raises(AbsenceError) as absence:
        read(f"process_start_time_seconds {START}\n")
    assert absence.value.kind == pb.ABSENCE_TYPE_NO_SERIES


def test_a_few_calls_under_way_do_not_make_a_page_torn() -> None:
    (counters,) = read(HONEST.replace('le="+Inf"} 100', 'le="+Inf"} 105')).variants
    assert counters.over_limits[0].request_count <= counters.request_count + counters.shed_count


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("OK", "OK"),
        ("NotFound", "NOT_FOUND"),
        ("NOT_FOUND", "NOT_FOUND"),
        ("5", "NOT_FOUND"),
        ("Canceled", "CANCELLED"),
        ("DeadlineExceeded", "DEADLINE_EXCEEDED"),
        ("17", "17"),
    ],
)
def test_codes_are_read_as_every_library_writes_them(text: str, code: str) -> None:
    assert canonical_code(text) == code


def test_a_process_carries_the_weight_that_the_routers_showed() -> None:
    process = Process("candidate 127.0.0.1:9002", "127.0.0.1:7002", page())
    gone = Process("baseline 127.0.0.1:9001", "127.0.0.1:7001", scrape_failed("connection refused"))
    routers = [("haproxy a", shows("haproxy a", 1000, 5.0)), ("haproxy b", scrape_failed("no answer"))]
    gathered = gather_foreign([process, gone], routers, SUBJECT, {})
    assert [(reading.replica, reading.candidate_weight_bp) for reading in gathered.readings] == [
        ("haproxy a", 1000),
        ("candidate 127.0.0.1:9002", 1000),
    ]
    assert [absence.replica for absence in gathered.absences] == ["haproxy b", "baseline 127.0.0.1:9001"]


def test_a_counter_that_fell_and_a_page_from_before_are_told_apart() -> None:
    before = read()
    process = Process(before.replica, "127.0.0.1:7002", page(HONEST.replace("} 90", "} 80")))
    (absence,) = gather_foreign([process], [], SUBJECT, {before.replica: before}).absences
    assert absence.type == pb.ABSENCE_TYPE_COUNTER_RESET
    older = HONEST.replace(f"seconds {START}", f"seconds {START - 60}")
    (absence,) = gather_foreign([replace(process, page=page(older))], [], SUBJECT, {before.replica: before}).absences
    assert absence.type == pb.ABSENCE_TYPE_STALE
    newer = HONEST.replace(f"seconds {START}", f"seconds {START + 60}").replace("} 90", "} 80")
    assert gather_foreign([replace(process, page=page(newer))], [], SUBJECT, {before.replica: before}).readings
