"""A post-mortem begun from a rollout's journal: what is on record is filled in, what people know is asked. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from covey.report import words
from covey.report.build import build_report
from covey.report.forms import Report
from covey.report.markdown import code, escape, table, verdict_table
from covey.report.model import ArmSeries, Panel
from covey.report.schedule import on_call_text
from covey.rollout.statement import Kind, StatementError, parse_statement
from covey.v1 import journal_pb2

TODO = "**TODO**"
_TOLD = frozenset({"checkpoint", "created"})


@dataclass(frozen=True)
class Course:
    """When what happened, as far as the journal knows.

    Attributes:
        exposed: the candidate first had learners; None: it never had any.
        onset: when the failures that were shown begin, estimated; None where no counter says.
        decided: the rollback or the first incident was recorded; its share was 0 in the same transaction.
        confirmed: the share was read back as 0 everywhere, and the rollout ended.
    """

    exposed: datetime | None
    onset: datetime | None
    decided: datetime | None
    confirmed: datetime | None


def postmortem(entries: Iterable[journal_pb2.Entry]) -> str:
    """A draft in Markdown.

    Raises:
        ValueError: nothing went wrong: no rollback, no abort and no incident.
    """
    journal = list(entries)
    report = build_report(journal)
    if not any(entry.WhichOneof("payload") in {"rollback_started", "incident_reported"} for entry in journal):
        raise ValueError(f"{report.name} had no rollback and no incident: there is nothing to examine")
    course = course_of(journal, report)
    lines = [
        *_head(report, course),
        *_impact(report, course),
        *_course(report, course),
        *_evidence(report),
        *_timeline(report),
        *_people(journal, report),
        *_questions(report),
    ]
    return "\n".join(lines).rstrip() + "\n"


def course_of(journal: Sequence[journal_pb2.Entry], report: Report) -> Course:
    """The instants of a rollout that went wrong."""

    def first(kind: str) -> datetime | None:
        return next((_time(entry) for entry in journal if entry.WhichOneof("payload") == kind), None)

    decided = first("rollback_started") or first("incident_reported")
    statement = next((entry.rollback_started.statement for entry in journal if entry.HasField("rollback_started")), "")
    entered = [_time(entry) for entry in journal if entry.WhichOneof("payload") == "phase_entered"]
    onset = None
    if statement and report.panels:
        seconds = onset_seconds(report.panels[-1], statement)
        onset = None if seconds is None else entered[-1] + timedelta(seconds=seconds)
    return Course(first("phase_entered"), onset, decided, first("finished"))


def onset_seconds(panel: Panel, statement: str) -> float | None:
    """Since when the candidate's failures are beyond the limit, in seconds after the phase began.

    The sample at which the failures so far fall furthest short of what the limit allows: the change point of a CUSUM
    (Page 1954) whose reference is the limit. None for statements without counters of their own in the series.
    """
    try:
        parsed = parse_statement(statement)
    except StatementError:
        return None
    counted = _counted(panel.candidate, parsed.kind, parsed.limit)
    if counted is None or not panel.seconds:
        return None
    allowed = parsed.limit if parsed.kind is Kind.ERROR_RATE else parsed.event_limit
    excess = np.asarray(counted, dtype=float) - allowed * np.asarray(panel.candidate.requests, dtype=float)
    # Nothing was counted when the phase began.
    lowest = int(np.argmin(np.concatenate([[0.0], excess])))
    return 0.0 if lowest == 0 else panel.seconds[lowest - 1]


def _counted(arm: ArmSeries, kind: Kind, limit: float) -> Sequence[int] | None:
    if kind is Kind.ERROR_RATE:
        return arm.errors
    return arm.slower.get(limit) if kind is Kind.LATENCY else None


def _time(entry: journal_pb2.Entry) -> datetime:
    return entry.time.ToDatetime(UTC)


def _head(report: Report, course: Course) -> Iterator[str]:
    day = f"{course.decided:%Y-%m-%d}" if course.decided else report.created[:10]
    yield f"# Post-mortem: {escape(report.name)}, {day}"
    yield ""
    yield (
        f"Draft from the journal ({words.count(report.entry_count)} entries, covey {escape(report.version)}). "
        f"Figures are on record; {TODO} is for people. It asks how the system let it happen, not who did."
    )
    yield ""
    yield "## Summary"
    yield ""
    yield f"{report.decision}. {escape(report.headline)}"
    yield ""
    yield f"Why: {escape(report.reason)}"
    yield ""
    yield f"{TODO}: one sentence on what users noticed, and one on what was wrong with {code(report.candidate)}."
    yield ""


def _impact(report: Report, course: Course) -> Iterator[str]:
    totals = report.totals
    rate = totals.baseline_errors / totals.baseline_requests if totals.baseline_requests else None
    yield "## Impact"
    yield ""
    rows = [
        ("learners that met the candidate", words.count(totals.candidate_learners) or "not counted"),
        ("requests that it answered", words.count(totals.candidate_requests)),
        ("of them failed", words.count(totals.candidate_errors)),
    ]
    if rate is not None:
        excess = max(totals.candidate_errors - rate * totals.candidate_requests, 0.0)
        rows.append(("beyond what the baseline would have failed", f"about {words.count(round(excess))}"))
    if course.exposed and course.decided:
        rows.append(("time with traffic", words.span((course.decided - course.exposed).total_seconds())))
    if report.excluded_segments:
        rows.append(("segments sent back before", escape(", ".join(report.excluded_segments))))
    yield from table(("what", "figure"), rows)
    yield ""
    yield f"{TODO}: what it cost: support calls, money, trust."
    yield ""


def _course(report: Report, course: Course) -> Iterator[str]:
    yield "## From harm to zero"
    yield ""
    rows: list[tuple[str, str, str]] = []
    before: datetime | None = None
    rolled_back = any(event.kind == "rollback_started" for event in report.timeline)
    decided = "the rollback is recorded, and the share is 0 with it" if rolled_back else "an incident is reported"
    confirmed = "the share is read back as 0 everywhere" if rolled_back else "the rollout ends"
    for what, at in (
        ("the candidate gets its first learners", course.exposed),
        ("the failures begin (estimated)", course.onset),
        (decided, course.decided),
        (confirmed, course.confirmed),
    ):
        if at is None:
            continue
        since = "" if before is None else words.span((at - before).total_seconds())
        rows.append((words.moment(at), what, since))
        before = at
    yield from table(("time", "what", "after"), rows)
    yield ""
    if course.onset is not None:
        yield "The beginning is the change point of a CUSUM of the counters against the limit, to the nearest look."
        yield ""
    yield f"{TODO}: was it noticed elsewhere earlier: alerts, support, users?"
    yield ""


def _evidence(report: Report) -> Iterator[str]:
    yield "## What was seen"
    yield ""
    if report.decided_by:
        yield "What decided:"
        yield ""
        yield from verdict_table(report.decided_by)
    if report.phases:
        last = report.phases[-1]
        rest = [line for line in (*last.criteria, *last.triggers) if line not in report.decided_by]
        if rest:
            yield f"The other statements of phase {escape(last.name)} at that moment:"
            yield ""
            yield from verdict_table(rest)
        for phase in report.phases[:-1]:
            passed = [line.statement for line in phase.criteria if line.result == "PASS"]
            yield f"- Phase {escape(phase.name)} at {words.share(phase.share_bp)} had shown: " + (
                ", ".join(code(text) for text in passed) or "nothing"
            )
        if report.phases[:-1]:
            yield ""
    yield f"{TODO}: why did the phases before not show it: fewer requests, other learners, a later onset?"
    yield ""


def _timeline(report: Report) -> Iterator[str]:
    yield "## Timeline"
    yield ""
    yield from table(
        ("time", "what", "who", "why"),
        [
            (event.time, escape(event.text), escape(event.actor), escape(event.reason))
            for event in report.timeline
            if event.kind not in _TOLD
        ],
    )
    yield ""


def _people(journal: Sequence[journal_pb2.Entry], report: Report) -> Iterator[str]:
    yield "## People"
    yield ""
    spec = journal[0].created.spec
    yield f"- On call: {escape(on_call_text(spec.on_call))}"
    phase = report.phases[-1].name if report.phases else ""
    signed = [f"{line.actor} ({line.role})" for line in report.approvals if line.act == "approved"]
    yield f"- Signed on the way: {escape(', '.join(dict.fromkeys(signed))) or 'nobody'}"
    for event in report.timeline:
        if event.kind in {"acknowledged", "escalated"}:
            yield f"- {event.time} {escape(event.text)}, by {escape(event.actor)}"
    for event in (*report.overrides, *report.incidents):
        why = f": {escape(event.reason)}" if event.reason else ""
        yield f"- {event.time} {escape(event.text)}, by {escape(event.actor)}{why}"
    yield f"- {TODO}: who answered, from where, and what they lacked" + (f" in phase {escape(phase)}" if phase else "")
    yield ""


def _questions(report: Report) -> Iterator[str]:
    yield "## What went well, what went badly, where we were lucky"
    yield ""
    for fact in _facts(report):
        yield f"- {fact}"
    yield f"- {TODO}"
    yield ""
    yield "## Why"
    yield ""
    for number in range(1, 6):
        yield f"{number}. Why? {TODO}"
    yield ""
    yield "## What changes"
    yield ""
    yield from table(
        ("what", "prevents, finds sooner, or limits", "owner", "until"),
        [
            (f"{TODO}: a test that this candidate fails", "prevents", TODO, TODO),
            (f"{TODO}: the plan (`covey rollout replay JOURNAL --spec PLAN` tries another on this evidence)",
             "finds sooner", TODO, TODO),
        ],
    )  # fmt: skip


def _facts(report: Report) -> Iterator[str]:
    kinds = [event.kind for event in report.timeline]
    if "rollback_started" in kinds and report.phases:
        share = words.share(report.phases[-1].share_bp)
        yield f"It was stopped at {share} of the learners, phase {len(report.phases)} of {len(report.plan)}."
    if report.overrides:
        yield f"People intervened {_times(len(report.overrides))} by hand; see People."
    if kinds.count("held"):
        yield f"It had been HOLDING {_times(kinds.count('held'))} before."
    for line in report.undecided:
        yield f"{code(line.verdict.statement)} of phase {escape(line.phase)} was never decided: {escape(line.settled)}."
    if report.unverified_actors:
        yield "Names were by the callers' own word; nobody checked them."


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
