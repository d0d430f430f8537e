"""The report of real decisions in virtual time: what it says, in which form, and what it never lets through."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from covey.report import Report, build_report
from covey.report.model import Panel
from covey.report.series import SAMPLES
from covey.rollout import commands
from covey.rollout.draft import payload_entry
from covey.rollout.state import IllegalEntry
from covey.v1.journal_pb2 import PhaseEntered

GOLDEN = Path(__file__).parents[1] / "golden" / "report-rolled-back.md"
HOSTILE = '<script>alert("x")</script> **bold** | [a](javascript:b) `c` \x1b[2J & more'


@pytest.fixture(scope="module")
def succeeded(worlds: ModuleType) -> Report:
    return build_report(worlds.succeeded().journal)


@pytest.fixture(scope="module")
def rolled_back(worlds: ModuleType) -> Report:
    return build_report(worlds.rolled_back().journal)


@pytest.fixture(scope="module")
def hostile(worlds: ModuleType) -> Report:
    world = worlds.World(description=json.dumps(HOSTILE))
    world.start()
    world.run(60)
    world.write(commands.abort(world.state, world.now, reason=HOSTILE), HOSTILE)
    world.run(60)
    return build_report(world.journal)


def test_a_success_says_so_first(succeeded: Report) -> None:
    assert succeeded.decision == "SUCCEEDED"
    assert succeeded.headline.startswith("variants/native serves every learner and is the stable variant now")
    assert [phase.name for phase in succeeded.phases] == ["canary", "ramp", "rollout"]
    assert [phase.ended for phase in succeeded.phases] == ["advanced", "advanced", "succeeded"]
    assert all(line.result == "PASS" for phase in succeeded.phases for line in phase.criteria)
    assert succeeded.undecided == []
    assert succeeded.finished
    assert succeeded.totals.candidate_requests > 100_000
    assert succeeded.totals.candidate_errors == pytest.approx(succeeded.totals.candidate_requests / 1000, rel=0.01)


def test_a_rollback_names_the_statement_and_the_counters(rolled_back: Report) -> None:
    assert rolled_back.decision == "ROLLED BACK"
    assert "was taken back in phase ramp at 50 % of learners" in rolled_back.headline
    (line,) = rolled_back.decided_by
    assert (line.statement, line.word) == ("error_rate > 1.5 %", "SHOWN")
    assert f"{line.event_count:,} of {line.trial_count:,} candidate requests failed" in rolled_back.reason
    assert rolled_back.panels[-1].share_steps[-1][1] == 0
    assert [mark.kind for mark in rolled_back.panels[-1].marks][-2:] == ["rollback", "end"]


def test_the_markdown_is_golden(rolled_back: Report) -> None:
    """Changed on purpose? Write the Markdown of `worlds.rolled_back()` there again, and read the diff."""
    assert rolled_back.markdown() == GOLDEN.read_text(encoding="utf-8")


def test_a_rollout_on_its_way(worlds: ModuleType) -> None:
    report = build_report(worlds.holding().journal)
    assert report.decision == "HOLDING"
    assert report.headline.startswith("On its way: 10 % of learners get variants/native")
    assert report.finished == ""
    assert {line.verdict.needs_text for line in report.undecided} == {"any traffic at all"}
    assert "## Where it stands" in report.markdown()
    assert "Where it stands" in report.html()


def test_before_the_first_phase(worlds: ModuleType) -> None:
    report = build_report(worlds.World().journal)
    assert report.decision == "DRAFT"
    assert report.panels == []
    assert "<svg" not in report.html()
    assert [name for name, _ in report.files()] == ["report.html", "report.md", "report.json"]


def test_people_are_on_record(worlds: ModuleType) -> None:
    world = worlds.World(worlds.Traffic(requests_per_second=0.0))
    world.start()
    world.run(120)
    world.write(commands.pause(world.state, world.now, reason="lunch"), "ada")
    world.write(commands.resume(world.state, world.now, reason="fed"), "ada")
    world.write(
        commands.report_incident(world.state, world.now, incident_id="INC-1", critical=False, description="slow"), "oz"
    )
    world.approve("engineering", "operations", phase="ramp")
    world.write(commands.promote(world.state, world.now, reason="I know better"), "grace")
    world.run(60)
    world.write(commands.abort(world.state, world.now, reason="checkout is slow"), "oz")
    world.run(60)
    report = build_report(world.journal)
    assert report.decision == "ABORTED"
    assert "checkout is slow" in report.reason
    assert [line.role for line in report.approvals] == ["engineering", "operations", "engineering", "operations"]
    assert report.approvals[0].reason == "looked at the dashboard"
    assert [event.kind for event in report.overrides] == ["paused", "resumed", "promoted"]
    assert [event.reason for event in report.overrides] == ["lunch", "fed", "I know better"]
    assert [event.kind for event in report.incidents] == ["incident_reported"]
    assert report.phases[0].ended == "promoted by hand to ramp"
    assert "overridden by grace: I know better" in {line.settled for line in report.undecided}
    assert report.on_call == {"primary": "ada", "secondary": "grace", "escalation": "edsger"}
    assert {"ada", "grace", "oz"} <= set(report.unverified_actors)
    for text in (report.markdown(), report.html()):
        for words in ("I know better", "INC-1", "checkout is slow", "edsger", "operations-lead"):
            assert words in text


def test_aborted_before_it_began(worlds: ModuleType) -> None:
    world = worlds.World()
    world.write(commands.abort(world.state, world.now, reason="wrong plan"), "ada")
    report = build_report(world.journal)
    assert report.decision == "ABORTED"
    assert "before it served anybody" in report.headline


class _Page(HTMLParser):
    """Collects elements, and what could load something."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in {"src", "href", "xlink:href", "srcset", "action", "data"}:
                self.references.append(value or "")
            assert not name.startswith("on")

    def handle_data(self, data: str) -> None:
        self.text += data


def page(report: Report) -> _Page:
    parsed = _Page()
    parsed.feed(report.html())
    return parsed


def test_the_page_is_one_file_that_loads_nothing(succeeded: Report) -> None:
    parsed = page(succeeded)
    assert {"script", "link", "img", "iframe", "object", "embed", "form"}.isdisjoint(parsed.tags)
    assert all(reference.startswith("#") for reference in parsed.references)
    html = succeeded.html()
    assert "@import" not in html
    assert not re.findall(r"url\((?!#)", html)
    assert parsed.tags.count("svg") == 4
    assert html.count('role="img" aria-label="') == 4
    assert "prefers-color-scheme: dark" in html
    assert "default-src 'none'" in html
    assert html.index("SUCCEEDED") < html.index("What decided") < html.index("<svg") < html.index("Timeline")


def test_hostile_text_is_only_text(hostile: Report) -> None:
    parsed = page(hostile)
    assert "script" not in parsed.tags
    assert '<script>alert("x")</script>' in parsed.text
    html = hostile.html()
    assert "\x1b" not in html
    assert "<script" not in html
    markdown = hostile.markdown()
    assert "<script" not in markdown
    assert "\x1b" not in markdown
    assert "\\*\\*bold\\*\\* \\| \\[a\\](javascript:b) \\`c\\`" in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("| ") and "alert" in line]
    assert rows
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 6 for row in rows)
    assert json.loads(hostile.to_json())["description"] == HOSTILE


def test_json_says_the_same(rolled_back: Report) -> None:
    document = json.loads(rolled_back.to_json())
    assert document["decision"] == "ROLLED BACK"
    assert document["decided_by"][0]["statement"] == "error_rate > 1.5 %"
    assert document["decided_by"][0]["event_count"] == rolled_back.decided_by[0].event_count
    assert [phase["name"] for phase in document["phases"]] == ["canary", "ramp"]
    assert document["timeline"][0]["kind"] == "created"
    assert document["panels"][0]["candidate"]["requests"][-1] == rolled_back.panels[0].candidate.requests[-1]


def test_files_belong_together(rolled_back: Report) -> None:
    files = dict(rolled_back.files("run"))
    linked = re.findall(r"\]\((run-\w+\.svg)\)", files["run.md"])
    assert len(linked) == 4
    assert set(linked) <= set(files)
    for name in linked:
        ET.fromstring(files[name])


def test_series_are_bounded_and_end_with_the_last_look(worlds: ModuleType) -> None:
    world = worlds.World(worlds.Traffic(requests_per_second=0.0))
    world.start()
    world.run(1180)
    whole = build_report(world.journal)
    for _ in range(3):
        _prolong(world)
    (panel,) = build_report(world.journal).panels
    assert whole.totals.tick_count < len([entry for entry in world.journal if entry.WhichOneof("payload") == "tick"])
    assert SAMPLES / 2 < len(panel.seconds) <= SAMPLES
    last = [entry for entry in world.journal if entry.WhichOneof("payload") == "tick"][-1]
    assert panel.seconds[-1] == pytest.approx(panel.end_seconds, abs=11)
    assert last.time.seconds


def _prolong(world: Any) -> None:
    """More looks while the phase is paused, so that nothing ends it."""
    if not world.state.paused:
        world.write(commands.pause(world.state, world.now, reason="wait"), "ada")
    world.run(900)


def test_counters_start_again_with_a_server(worlds: ModuleType) -> None:
    world = worlds.World()
    world.start()
    world.run(120)
    before = build_report(world.journal)
    restarted = world.journal[-1]
    assert restarted.WhichOneof("payload") == "tick"
    restarted.tick.readings[0].server_start_time_seconds += 1
    for counters in restarted.tick.readings[0].variants:
        counters.request_count = 1
        counters.error_count = 0
        for over in counters.over_limits:
            over.request_count = 0
    after = build_report(world.journal)
    assert 0 < after.totals.candidate_requests < before.totals.candidate_requests
    panel: Panel = after.panels[0]
    assert panel.candidate.requests[-1] == panel.candidate.requests[-2]


def test_what_is_no_journal_is_refused(worlds: ModuleType) -> None:
    with pytest.raises(ValueError, match="empty"):
        build_report([])
    with pytest.raises(IllegalEntry):
        build_report(worlds.World().journal * 2)


def test_a_dry_run_that_passed_makes_nothing_stable(worlds: ModuleType) -> None:
    world = worlds.World(description="A rehearsal\ndry_run: true")
    world.start()
    phases = [PhaseEntered(phase=name, candidate_weight_bp=0) for name in ("canary", "ramp", "rollout")]
    world.write([payload_entry(phase_entered=phase) for phase in phases], "controller", epoch=1)
    world.write([payload_entry(finished={"outcome": "OUTCOME_SUCCEEDED"})], "controller", epoch=1)
    headline = build_report(world.journal).headline
    assert "variants/reference serves everybody as before" in headline
    assert "stable" not in headline
