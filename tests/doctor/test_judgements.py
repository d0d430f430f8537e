"""From measurements to levels: what is fine, what is almost too much, what is."""

from __future__ import annotations

import pytest

from covey.doctor import judgements
from covey.doctor.findings import Finding, Level, ok, warn, worst

GIB = 1 << 30
DAY = 86_400


@pytest.mark.parametrize(
    ("finding", "level", "said"),
    [
        (judgements.isa("avx512", ["avx512", "avx2", "baseline"]), "ok", "kernels use avx512"),
        (judgements.isa("avx2", ["avx512", "avx2", "baseline"]), "warn", "the machine has avx512"),
        (judgements.isa("baseline", ["baseline"]), "warn", "baseline"),
        (judgements.space(2 * GIB, "/d"), "ok", "2.0 GiB free at /d"),
        (judgements.space(GIB - 1, "/d"), "warn", "1024 MiB free"),
        (judgements.space(1 << 20, "/d"), "fail", "1 MiB free"),
        (judgements.sync_time(0.002), "ok", "2.0 ms"),
        (judgements.sync_time(0.06), "warn", "60.0 ms"),
        (judgements.sync_time(2.0), "fail", "2000.0 ms"),
        (judgements.version(None, 2), "ok", "no store there yet"),
        (judgements.version(2, 2), "ok", "version 2"),
        (judgements.version(1, 2), "warn", "2 is the newest"),
        (judgements.version(3, 2), "fail", "this covey knows 2"),
        (judgements.ballast(2 << 20, 2 << 20), "ok", "2 MiB set aside"),
        (judgements.ballast(1 << 20, 2 << 20), "warn", "none is set aside"),
        (judgements.ballast(0, None), "warn", "none is set aside"),
        (judgements.ballast(0, 0), "warn", "none is wanted"),
        (judgements.certificate("a:1", 90 * DAY, ["a"]), "ok", "a:1 for a: ends in 90 days"),
        (judgements.certificate("a:1", 13.9 * DAY), "warn", "ends in 13.9 days"),
        (judgements.certificate("a:1", -2 * DAY), "fail", "ended 2 days ago"),
        (judgements.clock(0.4, 0.5), "ok", "agrees"),
        (judgements.clock(-3.0, 0.5), "warn", "3.0 s behind"),
        (judgements.clock(2.4, 0.5), "ok", "agrees"),
        (judgements.clock(3600.0, 0.5), "fail", "3600.0 s ahead of"),
    ],
)
def test_levels(finding: Finding, level: str, said: str) -> None:
    assert finding.level.value == level
    assert said in finding.said
    assert bool(finding.remedy) == (level != "ok"), "what is not fine says what to do"


def test_a_clock_that_jumps_is_seen() -> None:
    assert judgements.steadiness(2.0, 2.0) is None
    jumped = judgements.steadiness(3602.0, 2.0)
    assert jumped is not None
    assert "+3600.0 s" in jumped.said


def test_what_the_server_says_of_its_store() -> None:
    good = {
        "covey_store_unwritable_seconds": 0.0,
        "covey_store_ballast_bytes": 8.0,
        "covey_store_ballast_wanted_bytes": 8.0,
    }
    assert judgements.store_gauges(good) == []
    for name, value, said in (
        ("covey_store_unwritable_seconds", 30.0, "not written for 30 s"),
        ("covey_store_unread_seconds", 6.0, "not read for 6 s"),
        ("covey_store_unfollowed_seconds", 11.0, "not followed for 11 s"),
        ("covey_store_ballast_bytes", 0.0, "the disk is full"),
    ):
        (bad,) = judgements.store_gauges(good | {name: value})
        assert said in bad.said


def levels(driven: dict[str, float], epoch: float | None) -> list[str]:
    return [one.level.value for one in judgements.controller(driven, {"rollouts/x": 30.0}, epoch)]


def test_whether_somebody_drives() -> None:
    assert levels({}, 7.0) == ["ok"]
    assert levels({}, 0.0) == ["ok"]
    assert levels({}, None) == ["warn"]
    assert levels({"rollouts/x": 119.0}, 7.0) == ["ok", "ok"]
    assert levels({"rollouts/x": 119.0}, None) == ["ok", "ok"], "one elsewhere drives"
    assert levels({"rollouts/x": 121.0}, 7.0) == ["fail", "ok"]
    assert levels({"rollouts/x": 121.0}, None) == ["fail", "warn"]


def test_the_worst_counts() -> None:
    assert worst([]) is Level.OK
    assert worst([ok("a", "b"), warn("a", "b", "c"), ok("a", "b")]) is Level.WARN
