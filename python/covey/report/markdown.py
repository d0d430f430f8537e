"""A report as Markdown that renders the same on GitHub, in a chat and in a pager."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from covey.report import words
from covey.report.model import Contents, VerdictLine
from covey.report.pictures import Picture
from covey.report.stabilisation import share_text

_SPECIAL = re.compile(r"([\\`*_\[\]#|~!])")


def escape(text: str) -> str:
    """Text that Markdown shows as it came: no markup, no HTML, no line break."""
    return _SPECIAL.sub(r"\\\1", words.clean(text).replace("&", "&amp;").replace("<", "&lt;"))


def code(text: str) -> str:
    """Text as a code span, safe in a table."""
    return f"`{words.clean(text).replace('`', chr(39)).replace('|', '¦')}`" if text else ""


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table."""
    yield f"| {' | '.join(headings)} |"
    yield f"|{'---|' * len(headings)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def write_markdown(report: Contents, pictures: Iterable[Picture], picture_prefix: str) -> str:
    """The whole report, with links to the pictures by the prefix of their file names."""
    lines = [
        *_head(report),
        *_schedule(report),
        *_stabilisation(report),
        *_pictures(pictures, picture_prefix),
        *_evidence(report),
        *_alpha(report),
        *_people(report),
        *_timeline(report),
        *_plan(report),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _head(report: Contents) -> Iterator[str]:
    totals = report.totals
    learners = words.count(totals.candidate_learners) if totals.candidate_learners else "not counted"
    yield f"# {escape(report.name)}: {report.decision}"
    yield ""
    yield f"**{escape(report.headline)}**"
    yield ""
    yield f"Why: {escape(report.reason)}"
    yield ""
    if report.description:
        yield f"> {escape(report.description)}"
        yield ""
    yield from table(
        ("what", "figure"),
        [
            ("candidate over baseline", f"{code(report.candidate)} over {code(report.baseline)}"),
            ("from, to", f"{report.created} to {report.finished or 'now'} ({words.span(report.seconds)})"),
            ("requests of the candidate", _failed(totals.candidate_requests, totals.candidate_errors)),
            ("requests of the baseline", _failed(totals.baseline_requests, totals.baseline_errors)),
            ("learners that met the candidate", learners),
            ("looks", f"{words.count(totals.tick_count)}, {words.span(totals.observed_seconds)} observed"),
            *_excluded(report),
        ],
    )  # fmt: skip
    yield ""
    if report.decided_by:
        yield "## What decided" if report.finished else "## Where it stands"
        yield ""
        yield from verdict_table(report.decided_by)
        for line in report.decided_by:
            if line.proof:
                yield f"- {code(line.statement)}: {escape('; '.join(line.proof))}"
        yield ""


def _excluded(report: Contents) -> list[tuple[str, str]]:
    return [("segments routed back", escape(", ".join(report.excluded_segments)))] if report.excluded_segments else []


def _failed(requests: int, errors: int) -> str:
    return f"{words.count(requests)}, {words.count(errors)} failed"


def verdict_table(lines: Sequence[VerdictLine]) -> Iterator[str]:
    """The lines of a table of verdicts, and an empty one."""
    yield from table(
        ("statement", "verdict", "estimate [interval]", "counters", "needs", "ln E of"),
        [
            (
                code(line.statement) + (" (report only)" if line.report_only else ""),
                f"**{line.word}**" if line.result in {"PASS", "FAIL"} else line.word,
                escape(line.estimate_text),
                "; ".join(filter(None, (line.counters_text, line.rival_text))),
                line.needs_text,
                f"{line.log_e_value:.3g} of {line.log_threshold:.3g}" if line.log_threshold else "",
            )
            for line in lines
        ],
    )
    yield ""


def _pictures(pictures: Iterable[Picture], prefix: str) -> Iterator[str]:
    for picture in pictures:
        yield f"![{escape(picture.text)}]({prefix}{picture.key}.svg)"
        yield ""


def _evidence(report: Contents) -> Iterator[str]:
    for phase in report.phases:
        yield f"## Phase {escape(phase.name)}, {words.share(phase.share_bp)}: {escape(phase.ended)}"
        yield ""
        lasted, asked = words.span(phase.seconds), words.span(phase.hold_seconds)
        yield f"Began {phase.entered}, lasted {lasted} of the {asked} asked for."
        yield ""
        if phase.criteria:
            yield from verdict_table(phase.criteria)
        if phase.triggers:
            yield "Triggers:"
            yield ""
            yield from verdict_table(phase.triggers)
    yield "## What could not be decided"
    yield ""
    if not report.undecided:
        yield "Nothing: every criterion was decided by its evidence."
        yield ""
        return
    yield from table(
        ("phase", "statement", "verdict", "needs", "what came of it"),
        [
            (escape(line.phase), code(line.verdict.statement), line.verdict.word, line.verdict.needs_text or "-",
             escape(line.settled))
            for line in report.undecided
        ],
    )  # fmt: skip
    yield ""


def _schedule(report: Contents) -> Iterator[str]:
    if not report.schedule:
        return
    yield "## What comes next"
    yield ""
    yield from table(
        ("phase", "traffic", "begins at the earliest", "ends at the earliest", "waits for"),
        [
            (escape(line.phase), words.share(line.share_bp), escape(line.begins), escape(line.ends),
             escape(line.waits_for))
            for line in report.schedule
        ],
    )  # fmt: skip
    yield ""
    yield f"On call: {escape(report.schedule[0].on_call)}."
    yield ""


def _stabilisation(report: Contents) -> Iterator[str]:
    stable = report.stabilisation
    if stable is None:
        return
    yield f"## With everybody: phase {escape(stable.phase)}"
    yield ""
    lasted = words.span(stable.seconds) + ("" if stable.is_over else f" of {words.span(stable.planned_seconds)} so far")
    failed = share_text(stable.errors, stable.requests)
    yield f"{lasted}: {words.count(stable.requests)} requests, {words.count(stable.errors)} failed ({failed})."
    yield ""
    limits = [f"slower than {limit * 1000:g} ms" for limit in stable.slower_limits]
    yield from table(
        ("from", "to", "requests", "failed", *limits),
        [
            (
                words.span(line.begin_seconds),
                words.span(line.end_seconds),
                words.count(line.requests),
                share_text(line.errors, line.requests),
                *(share_text(slower, line.requests) for slower in line.slower),
            )
            for line in stable.lines
        ],
    )
    yield ""
    for event in stable.disturbances:
        yield f"- {event.time} {escape(event.text)}"
    for open_line in stable.still_open:
        yield f"- still open: {code(open_line.verdict.statement)}, {escape(open_line.settled)}"
    yield f"- {escape(stable.way_back)}"
    yield ""


def _alpha(report: Contents) -> Iterator[str]:
    if not report.alpha:
        return
    yield "## Chance of a false rollback"
    yield ""
    yield from table(
        ("family", "may spend", "spent", "on these triggers", "and on refuting these criteria"),
        [
            (line.family, percent(line.alpha), percent(line.spent) if line.spent else "nothing",
             ", ".join(code(text) for text in line.triggers) or "-",
             ", ".join(code(text) for text in line.refutations) or "-")
            for line in report.alpha
        ],
    )  # fmt: skip
    yield ""
    total = sum(line.alpha for line in report.alpha)
    yield (
        f"A candidate that does no harm is rolled back by evidence with at most {percent(total)} chance over the whole "
        f"rollout, however often one looks; the plan's budget is {percent(report.alpha_budget)}."
    )
    yield ""


def percent(part: float) -> str:
    """A chance as per cent: 0.01 is "1 %"."""
    return f"{words.rounded(100 * part)} %"


def _people(report: Contents) -> Iterator[str]:
    yield "## Approvals"
    yield ""
    if report.approvals:
        yield from table(
            ("time", "phase", "role", "who", "act", "why"),
            [
                (line.time, escape(line.phase), escape(line.role), escape(line.actor),
                 line.act + (f" {code(line.statement)}" if line.statement else ""), escape(line.reason))
                for line in report.approvals
            ],
        )  # fmt: skip
    else:
        yield "None were given."
    yield ""
    if report.unverified_actors:
        names = ", ".join(escape(name) for name in report.unverified_actors)
        yield f"Names by the callers' own word, checked by nobody: {names}."
        yield ""
    for title, events in (("Overrides and interventions", report.overrides), ("Incidents", report.incidents)):
        if events:
            yield f"## {title}"
            yield ""
            for event in events:
                why = f": {escape(event.reason)}" if event.reason else ""
                yield f"- {event.time} {escape(event.text)}, by {escape(event.actor)}{why}"
            yield ""


def _timeline(report: Contents) -> Iterator[str]:
    if report.checkpoints:
        yield "## Checkpoints"
        yield ""
        yield from table(
            ("phase", "at", "time", "criteria"),
            [
                (escape(line.phase), words.span(line.offset_seconds), line.time, line.standing)
                for line in report.checkpoints
            ],
        )
        yield ""
    yield "## Timeline"
    yield ""
    yield from table(
        ("#", "time", "what", "who", "why"),
        [
            (str(event.sequence), event.time, escape(event.text), escape(event.actor), escape(event.reason))
            for event in report.timeline
            if event.kind != "checkpoint"
        ],
    )
    yield ""


def _plan(report: Contents) -> Iterator[str]:
    yield "## Plan"
    yield ""
    yield from table(
        ("phase", "traffic", "hold", "advance when", "approvals before"),
        [
            (escape(line.name), words.share(line.share_bp), words.span(line.hold_seconds),
             ", ".join(code(text) for text in line.criteria), escape(", ".join(line.approvals)) or "-")
            for line in report.plan
        ],
    )  # fmt: skip
    yield ""
    yield f"Rolls back when: {', '.join(code(text) for text in report.plan_triggers) or 'never by itself'}."
    yield ""
    people = ", ".join(f"{role} {escape(name)}" for role, name in report.on_call.items())
    yield f"On call: {people or 'nobody named'}."
    yield ""
    yield (
        f"Journal of {words.count(report.entry_count)} entries, uid {code(report.uid)}, "
        f"spec SHA-256 {code(report.spec_digest)}, covey {escape(report.version) or 'unknown'}. "
        "Everything here can be recomputed from it."
    )
