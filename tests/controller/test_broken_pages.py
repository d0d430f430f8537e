"""Broken metrics pages from a real HTTP server: every one becomes a typed absence, in bounded time, and no reading."""

from __future__ import annotations

import gzip
import socket
import time
from dataclasses import replace

import pytest

from covey.v1 import evidence_pb2 as pb
from covey_controller.config import Replica, ScrapeLimits
from covey_controller.evidence import Gathered, Subject, gather
from covey_controller.scraper import Scraper

from .pages import (
    BASELINE,
    CANDIDATE,
    LIMIT,
    ROLLOUT,
    START,
    Answer,
    Numbers,
    dripping,
    endless,
    gigabyte,
    hanging,
    http,
    later,
    page,
    resetting,
    sending,
    serving,
)

PATIENT = ScrapeLimits(10.0, 10.0, 20.0, page_bytes=256 * 1024, lines=500)
HASTY = replace(PATIENT, connect_seconds=0.3, read_seconds=0.3, total_seconds=0.6)
SUBJECT = Subject(ROLLOUT, (BASELINE, CANDIDATE), (LIMIT,), frozenset())

FAILED = pb.ABSENCE_TYPE_SCRAPE_FAILED
NO_SERIES = pb.ABSENCE_TYPE_NO_SERIES
NO_SAMPLES = pb.ABSENCE_TYPE_NO_SAMPLES
STALE = pb.ABSENCE_TYPE_STALE
NAN = pb.ABSENCE_TYPE_NAN
RESET = pb.ABSENCE_TYPE_COUNTER_RESET
DUPLICATE = pb.ABSENCE_TYPE_DUPLICATE_SERIES

GOOD = page()
OK_LINE = f'covey_requests_total{{method="AnalyzeLearner",variant="{CANDIDATE}",code="OK"}} 1000\n'
WEIGHT_LINE = f'covey_rollout_weight_ratio{{rollout="{ROLLOUT}"}} 0.5\n'
OVER_LINE = (
    f'covey_requests_over_limit_total{{method="AnalyzeLearner",variant="{CANDIDATE}",limit_seconds="{LIMIT}"}} 2\n'
)
HEADER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
COMPRESSED = gzip.compress(GOOD.encode())


def changed(old: str, new: str) -> Answer:
    """An honest page with one thing changed."""
    assert old in GOOD
    return sending(http(GOOD.replace(old, new)))


def without(metric: str) -> Answer:
    """An honest page without a metric."""
    lines = [line for line in GOOD.splitlines(keepends=True) if metric not in line]
    assert len(lines) < len(GOOD.splitlines())
    return sending(http("".join(lines)))


def now_ms() -> int:
    return round(time.time() * 1000)


FORGOTTEN = Numbers(
    requests={BASELINE: {"OK": 0}, CANDIDATE: {"OK": 0}},
    over={BASELINE: 0, CANDIDATE: 0},
    shadow={"equal": 0, "different": 0, "failed": 0},
)


BROKEN: dict[str, tuple[Answer, pb.AbsenceType.ValueType]] = {
    # numbers
    "NaN": (changed(OK_LINE, OK_LINE.replace("1000", "NaN")), NAN),
    "+Inf": (changed(OK_LINE, OK_LINE.replace("1000", "+Inf")), NAN),
    "-Inf": (changed(OK_LINE, OK_LINE.replace("1000", "-Inf")), NAN),
    "negative": (changed(OK_LINE, OK_LINE.replace("1000", "-1000")), NAN),
    "half a request": (changed(OK_LINE, OK_LINE.replace("1000", "1000.5")), NAN),
    "beyond exact": (changed(OK_LINE, OK_LINE.replace("1000", "1e300")), NAN),
    "limit NaN": (changed(OVER_LINE, OVER_LINE.replace("} 2", "} NaN")), NAN),
    "weight NaN": (changed(WEIGHT_LINE, WEIGHT_LINE.replace("0.5", "NaN")), NAN),
    "weight above 1": (changed(WEIGHT_LINE, WEIGHT_LINE.replace("0.5", "50")), NAN),
    "weight negative": (changed(WEIGHT_LINE, WEIGHT_LINE.replace("0.5", "-0.5")), NAN),
    "shadow NaN": (changed('result="equal"} 990', 'result="equal"} NaN'), NAN),
    "start time 0": (changed(f"start_time_seconds {START}", "start_time_seconds 0"), NAN),
    "hexadecimal": (changed(OK_LINE, OK_LINE.replace("1000", "0x3e8")), FAILED),
    "no number": (changed(OK_LINE, OK_LINE.replace("1000", "many")), FAILED),
    # series
    "no requests": (without("covey_requests_total"), NO_SERIES),
    "no candidate": (sending(http(page(replace(Numbers(), requests={BASELINE: {"OK": 3000}})))), NO_SERIES),
    "no limit": (without("covey_requests_over_limit_total"), NO_SERIES),
    "another limit": (sending(http(GOOD.replace(f'limit_seconds="{LIMIT}"', 'limit_seconds="0.2"'))), NO_SERIES),
    "no weight": (without("covey_rollout_weight_ratio"), NO_SERIES),
    "weight of another rollout": (changed(WEIGHT_LINE, WEIGHT_LINE.replace("demo", "other")), NO_SERIES),
    "no shadow": (without("covey_shadow_total"), NO_SERIES),
    "no start time": (without("covey_server_start_time_seconds"), NO_SERIES),
    "misnamed": (sending(http(GOOD.replace("covey_requests_total", "covey_request_total"))), NO_SERIES),
    "two series": (changed(OK_LINE, OK_LINE + OK_LINE), DUPLICATE),
    "two series apart": (sending(http(GOOD + OK_LINE.replace("1000", "7"))), DUPLICATE),
    "two weights": (changed(WEIGHT_LINE, WEIGHT_LINE + WEIGHT_LINE.replace("0.5", "0.25")), DUPLICATE),
    "two start times": (
        sending(http(GOOD + 'covey_server_start_time_seconds{pod="b"} 1700000001\n')),
        DUPLICATE,
    ),
    # time
    "old sample": (changed(OK_LINE, OK_LINE.replace("1000", f"1000 {now_ms() - 600_000}")), STALE),
    "cached page": (sending(http(GOOD, headers="Age: 900\r\n")), STALE),
    "page of an older process": (sending(http(page(replace(Numbers(), start=START - 500)))), STALE),
    "counter fell": (
        sending(http(page(replace(Numbers(), requests={BASELINE: {"OK": 3000}, CANDIDATE: {"OK": 10}})))),
        RESET,
    ),
    "limit counter fell": (sending(http(page(replace(Numbers(), over={BASELINE: 5, CANDIDATE: 0})))), RESET),
    "shadow fell": (
        sending(http(page(replace(Numbers(), shadow={"equal": 0, "different": 0, "failed": 0})))),
        RESET,
    ),
    "errors forgotten": (
        sending(http(page(replace(Numbers(), requests={BASELINE: {"OK": 3000}, CANDIDATE: {"OK": 1001}})))),
        RESET,
    ),
    # contents
    "empty": (sending(http("")), NO_SAMPLES),
    "comments only": (sending(http("# HELP nothing\n# TYPE covey_requests_total counter\n")), NO_SAMPLES),
    "HTML with status 200": (sending(http("<html>Welcome</html>\n", headers="Content-Type: text/html\r\n")), FAILED),
    "HTML as text": (sending(http("<html>Welcome</html>\n")), FAILED),
    "JSON": (sending(http('{"a": 1}\n', headers="Content-Type: application/json\r\n")), FAILED),
    "binary": (sending(http(bytes(range(256)) * 4)), FAILED),
    "not UTF-8": (sending(http(GOOD.encode() + b'x{a="\xff\xfe"} 1\n')), FAILED),
    "open quote": (changed(OK_LINE, OK_LINE.replace('code="OK"}', 'code="OK}')), FAILED),
    "label twice": (changed(OK_LINE, OK_LINE.replace('code="OK"', 'code="OK",code="OK"')), FAILED),
    "torn in a line": (sending(http(GOOD[: GOOD.index(OK_LINE) + 30])), FAILED),
    "torn inconsistently": (sending(http(page(replace(Numbers(), over={BASELINE: 5, CANDIDATE: 5000})))), FAILED),
    "too many series": (
        sending(http(GOOD + "".join(f'covey_requests_total{{code="OK",variant="v{i}"}} 1\n' for i in range(600)))),
        FAILED,
    ),
    # connection
    "status 500": (sending(http(GOOD, status="500 Internal Server Error")), FAILED),
    "status 404": (sending(http("not found\n", status="404 Not Found")), FAILED),
    "redirect": (sending(http("", status="302 Found", headers="Location: http://127.0.0.1:1/\r\n")), FAILED),
    "compressed": (sending(http(COMPRESSED, headers="Content-Encoding: gzip\r\n")), FAILED),
    "no HTTP": (sending(b"SSH-2.0-OpenSSH_9.2\r\n"), FAILED),
    "closed at once": (sending(b""), FAILED),
    "reset": (resetting, FAILED),
    "half a body": (sending(http(GOOD, length=len(GOOD) + 500)), FAILED),
    "half a chunk": (sending(HEADER + b"Transfer-Encoding: chunked\r\n\r\nfff\r\ncovey_build_info 1\n"), FAILED),
    "hanging before the status": (hanging(), FAILED),
    "hanging in the headers": (hanging(HEADER), FAILED),
    "hanging in the body": (hanging(http(GOOD, length=len(GOOD) + 1)), FAILED),
    "whole but late": (later(http(GOOD), 0.8), FAILED),
    "all counters at zero": (sending(http(page(FORGOTTEN))), RESET),
    "a gigabyte": (gigabyte(HEADER + b"Content-Length: 1073741824\r\n\r\n"), FAILED),
    "a gigabyte in chunks": (gigabyte(HEADER + b"Transfer-Encoding: chunked\r\n\r\n", chunked=True), FAILED),
    "dripping headers": (dripping(http(GOOD), 0.05), FAILED),
    "dripping body": (dripping(http("a 1\n" * 50), 0.01), FAILED),
    "announces 1 GB": (sending(http(GOOD, length=10**9)), FAILED),
    "never ends": (endless(HEADER + b"\r\n"), FAILED),
    "endless header": (endless(HEADER + b"X-A: "), FAILED),
}


NEVER_WHOLE_IN_TIME = {
    "hanging before the status",
    "hanging in the headers",
    "hanging in the body",
    "whole but late",
    "dripping headers",
    "dripping body",
}


def limits(name: str) -> ScrapeLimits:
    """Short ones only for the pages that they are to end: all others are judged by what they say, however late."""
    return HASTY if name in NEVER_WHOLE_IN_TIME else PATIENT


def look(answer: Answer, previous: pb.ReplicaReading | None, limits: ScrapeLimits = PATIENT) -> Gathered:
    with serving(answer) as server:
        scraper = Scraper([Replica("a", "127.0.0.1:1", server.url)], limits)
        try:
            pages = scraper.look(time.time() - 60)
            return gather(pages, SUBJECT, {} if previous is None else {"a": previous})
        finally:
            scraper.close()


@pytest.fixture(scope="module")
def honest() -> pb.ReplicaReading:
    gathered = look(sending(http(GOOD)), None)
    assert not gathered.absences
    (reading,) = gathered.readings
    return reading


def test_the_table_is_long_enough_and_names_every_type() -> None:
    assert len(BROKEN) >= 40
    assert {kind for _, kind in BROKEN.values()} == set(pb.AbsenceType.values()) - {pb.ABSENCE_TYPE_UNSPECIFIED}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_page_is_a_typed_absence_and_no_reading(name: str, honest: pb.ReplicaReading) -> None:
    answer, kind = BROKEN[name]
    begin = time.monotonic()
    gathered = look(answer, honest, limits(name))
    assert time.monotonic() - begin < 30.0
    assert not gathered.readings
    assert kind in {absence.type for absence in gathered.absences}, gathered.absences
    assert all(absence.replica == "a" and absence.detail for absence in gathered.absences)


def test_an_honest_page_is_read_exactly(honest: pb.ReplicaReading) -> None:
    assert honest.replica == "a"
    assert honest.server_start_time_seconds == START
    assert honest.candidate_weight_bp == 5000
    candidate = next(counters for counters in honest.variants if counters.variant == CANDIDATE)
    assert (candidate.request_count, candidate.error_count, candidate.unavailable_count) == (1001, 1, 0)
    assert [(over.limit_seconds, over.request_count) for over in candidate.over_limits] == [(LIMIT, 2)]
    assert (honest.shadow.equal_count, honest.shadow.different_count, honest.shadow.failed_count) == (990, 1, 0)


def test_codes_are_told_apart() -> None:
    codes = {"OK": 10, "NOT_FOUND": 3, "INTERNAL": 5, "UNAVAILABLE": 7, "DEADLINE_EXCEEDED": 1, "RESOURCE_EXHAUSTED": 9}
    gathered = look(sending(http(page(replace(Numbers(), requests={BASELINE: {"OK": 9}, CANDIDATE: codes})))), None)
    candidate = gathered.readings[0].variants[1]
    assert candidate.request_count == 26
    assert candidate.error_count == 13
    assert candidate.unavailable_count == 8
    assert candidate.shed_count == 9


def test_a_restarted_server_begins_anew(honest: pb.ReplicaReading) -> None:
    zeros = {BASELINE: {"OK": 0}, CANDIDATE: {"OK": 0}}
    restarted = Numbers(START + 60, 0.5, zeros, {BASELINE: 0, CANDIDATE: 0}, {"equal": 0, "different": 0, "failed": 0})
    gathered = look(sending(http(page(restarted))), honest)
    assert not gathered.absences
    assert gathered.readings[0].server_start_time_seconds == START + 60


def test_a_page_whose_length_is_not_announced_is_read() -> None:
    assert look(sending(HEADER + b"Connection: close\r\n\r\n" + GOOD.encode()), None).readings


def test_nobody_listening_is_a_failed_scrape() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    scraper = Scraper([Replica("a", "127.0.0.1:1", f"http://127.0.0.1:{port}/metrics")], PATIENT)
    gathered = gather(scraper.look(0.0), SUBJECT, {})
    scraper.close()
    assert [absence.type for absence in gathered.absences] == [FAILED]
    assert not gathered.readings


def test_one_hanging_replica_leaves_the_others_their_voice() -> None:
    with serving(hanging()) as bad, serving(sending(http(GOOD))) as good:
        replicas = [Replica("bad", "127.0.0.1:1", bad.url), Replica("good", "127.0.0.1:2", good.url)]
        scraper = Scraper(replicas, replace(HASTY, read_seconds=2.0, total_seconds=4.0))
        gathered = gather(scraper.look(0.0), SUBJECT, {})
        scraper.close()
    assert [reading.replica for reading in gathered.readings] == ["good"]
    assert [(absence.replica, absence.type) for absence in gathered.absences] == [("bad", FAILED)]
