"""A post-mortem begun from the journal: what it fills in is on record, what it cannot know it asks."""

from __future__ import annotations

import re
from datetime import timedelta
from types import ModuleType

import pytest

from covey.report import build_report
from covey.report.model import ArmSeries, Panel
from covey.report.postmortem import TODO, course_of, onset_seconds, postmortem
from covey.rollout import commands

HEADINGS = [
    "Summary", "Impact", "From harm to zero", "What was seen", "Timeline", "People",
    "What went well, what went badly, where we were lucky", "Why", "What changes",
]  # fmt: skip


def headings(text: str) -> list[str]:
    return re.findall(r"^## (.*)$", text, re.MULTILINE)


def test_a_rollback_is_told_from_harm_to_zero(worlds: ModuleType) -> None:
    world = worlds.rolled_back()
    report, text = build_report(world.journal), postmortem(world.journal)
    assert text.startswith("# Post-mortem: rollouts/native-over-reference, 2026-01-05\n")
    assert headings(text) == HEADINGS
    course = course_of(world.journal, report)
    # That world turns bad 900 s after its traffic begins: the estimate may be one look off.
    assert course.exposed is not None and course.onset is not None and course.decided is not None
    assert abs(course.onset - (worlds.START + timedelta(seconds=900))) <= timedelta(seconds=20)
    assert course.exposed < course.onset < course.decided < course.confirmed
    totals = report.totals
    excess = totals.candidate_errors - totals.baseline_errors / totals.baseline_requests * totals.candidate_requests
    for fact in (
        f"| learners that met the candidate | {totals.candidate_learners:,} |",
        f"| of them failed | {totals.candidate_errors:,} |",
        f"about {round(excess):,}",
        "| `error_rate > 1.5 %` | **SHOWN** |",
        "Phase canary at 10 % had shown: `error_rate < 1 %`",
        "On call: ada; after 15 min grace; after 30 min edsger",
        "Signed on the way: engineering-lead (engineering), operations-lead (operations)",
        "It was stopped at 50 % of the learners, phase 2 of 3.",
    ):
        assert fact in text
    assert text.count(TODO) > 10


def test_an_abort_and_an_incident_are_examined_too(worlds: ModuleType) -> None:
    world = worlds.World()
    world.start()
    world.run(120)
    world.write(
        commands.report_incident(world.state, world.now, incident_id="INC-1", critical=False, description="slow"), "oz"
    )
    text = postmortem(world.journal)
    assert "an incident is reported" in text
    assert "incident INC-1 reported: slow, by oz" in text
    assert "the share is 0" not in text
    world.write(commands.abort(world.state, world.now, reason="checkout is slow"), "oz")
    world.run(60)
    text = postmortem(world.journal)
    assert "checkout is slow" in text
    assert "the failures begin" not in text, "nothing was shown, so nothing says since when"
    assert headings(text) == HEADINGS


def test_before_anybody_had_it(worlds: ModuleType) -> None:
    world = worlds.World()
    world.write(commands.abort(world.state, world.now, reason="wrong plan"), "ada")
    text = postmortem(world.journal)
    assert headings(text) == HEADINGS
    assert "gets its first learners" not in text


@pytest.mark.parametrize("world", ["succeeded", "holding"])
def test_where_nothing_went_wrong_there_is_nothing_to_examine(worlds: ModuleType, world: str) -> None:
    with pytest.raises(ValueError, match="no rollback and no incident"):
        postmortem(getattr(worlds, world)().journal)


def test_text_from_elsewhere_stays_text(worlds: ModuleType) -> None:
    world = worlds.World(description='"<script>**x**"')
    world.start()
    world.run(60)
    world.write(commands.abort(world.state, world.now, reason="<img src=x> | **bold**\n# heading"), "<b>oz</b>")
    text = postmortem(world.journal)
    assert "<img" not in text and "<b>" not in text
    assert headings(text) == HEADINGS


def panel(requests: list[int], errors: list[int], slower: list[int] | None = None) -> Panel:
    arm = ArmSeries(requests=requests, errors=errors, slower={0.2: slower or []})
    seconds = [10.0 * (index + 1) for index in range(len(requests))]
    return Panel("ramp", seconds, seconds[-1], [(0.0, 5000)], [], arm, ArmSeries(), {}, [], [], [])


def test_the_change_point_of_counters() -> None:
    bad_from_the_third = panel([100, 200, 300, 400], [0, 0, 10, 20], [0, 0, 50, 99])
    assert onset_seconds(bad_from_the_third, "error_rate > 1.5 %") == 20.0
    assert onset_seconds(bad_from_the_third, "p99 > 200 ms") == 20.0
    assert onset_seconds(panel([100, 200], [9, 18]), "error_rate > 1.5 %") == 0.0
    for statement in ("availability < 99 %", "critical_incidents > 0", "p99 > 1 s", "no statement at all"):
        assert onset_seconds(bad_from_the_third, statement) is None
    assert (
        onset_seconds(Panel("x", [], 0.0, [], [], ArmSeries(), ArmSeries(), {}, [], [], []), "error_rate > 1 %") is None
    )
