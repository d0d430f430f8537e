"""A rehearsal told in Markdown: what would have been decided, what could be concluded and what could not. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from covey.report import story, words
from covey.report.lines import verdict_line
from covey.report.markdown import code, escape, table
from covey.report.model import VerdictLine
from covey.rollout.rehearsal import Rehearsed
from covey.rollout.statement import Kind, parse_statement
from covey.rollout.verdicts import current_verdicts
from covey.stats import needed_n


def decision(rehearsed: Rehearsed) -> str:
    """The end in the operators' words: SUCCEEDED, ROLLED BACK, HOLDING ..."""
    return words.state(rehearsed.state.state)


def final_lines(rehearsed: Rehearsed) -> list[VerdictLine]:
    """The verdicts that the end was decided on, or that stand after the last look."""
    for entry in reversed(rehearsed.entries):
        kind = entry.WhichOneof("payload")
        if kind == "rollback_started":
            return [verdict_line(verdict) for verdict in entry.rollback_started.verdicts]
        if kind == "finished" and entry.finished.verdicts:
            return [verdict_line(verdict) for verdict in entry.finished.verdicts]
    return [verdict_line(verdict) for verdict in current_verdicts(rehearsed.state)]


def write_rehearsal(rehearsed: Rehearsed, source: str, plan_name: str) -> str:
    """The explanation of a replay.

    Args:
        rehearsed: what happened in virtual time.
        source: name of the counters.
        plan_name: name of the plan.
    """
    return "\n".join(_lines(rehearsed, source, plan_name)).rstrip() + "\n"


def _lines(rehearsed: Rehearsed, source: str, plan_name: str) -> Iterator[str]:
    state, verdicts = rehearsed.state, final_lines(rehearsed)
    yield f"# {escape(source)} under {escape(plan_name)}: {decision(rehearsed)}"
    yield ""
    yield f"**{escape(state.explanation)}**"
    yield ""
    if rehearsed.notes:
        yield "## About the numbers"
        yield ""
        yield from (f"- {escape(note)}" for note in rehearsed.notes)
        yield ""
    criteria = [line for line in verdicts if line.role == "criterion"]
    triggers = [line for line in verdicts if line.role == "trigger"]
    shown = [line.sentence for line in criteria if line.result == "PASS"]
    shown += [line.sentence for line in triggers if line.result in {"FAIL", "PASS"}]
    shown += [line.sentence for line in criteria if line.result == "FAIL"]
    shown += [text for line in criteria if line.result == "INSUFFICIENT" for text in _bound(line)]
    open_ = [line.sentence + _clean(line) for line in criteria if line.result in {"INSUFFICIENT", "INVALID"}]
    yield from _section("What could be concluded", shown, "Nothing.")
    yield from _section("What could not be concluded", open_, "Nothing was left open.")
    if verdicts:
        yield "## Verdicts"
        yield ""
        yield from table(
            ("statement", "verdict", "counted", "estimate", "ln E", "of", "still needs"),
            [
                (
                    code(line.statement),
                    line.word,
                    escape(line.counters_text),
                    escape(line.estimate_text),
                    f"{line.log_e_value:.2f}",
                    f"{line.log_threshold:.2f}",
                    escape(line.needs_text),
                )
                for line in verdicts
            ],
        )
        yield ""
    yield "## What happened"
    yield ""
    for event in story.tell(rehearsed.entries):
        yield f"- {event.time}: {escape(event.text)}"


def _bound(line: VerdictLine) -> list[str]:
    """What an open criterion's counters do say: the bad end of the interval."""
    statement = parse_statement(line.statement)
    if not line.trial_count or line.lower is None or line.upper is None or not statement.counts_events:
        return []
    confidence = f"with {(1 - line.alpha) * 100:g} % confidence, however often one looked"
    if statement.kind is Kind.AVAILABILITY:
        return [f"availability is at least {line.lower * 100:.3g} %, {confidence}; counted: {line.counters_text}"]
    name = f"the share slower than {statement.limit:g} s" if statement.kind is Kind.LATENCY else statement.metric
    return [f"{name} is at most {line.upper * 100:.3g} %, {confidence}; counted: {line.counters_text}"]


def _clean(line: VerdictLine) -> str:
    """How much it takes at best, where nothing has failed yet."""
    statement = parse_statement(line.statement)
    if line.result != "INSUFFICIENT" or line.event_count or not statement.counts_events:
        return ""
    least = needed_n(0, 0, statement.event_limit, alternative="less", alpha=line.alpha)
    came = "none has come" if not line.trial_count else f"{line.trial_count:,} have come"
    return f": even without any failure it takes {least:,}, and {came}" if least else ""


def _section(title: str, sentences: Sequence[str], otherwise: str) -> Iterator[str]:
    yield f"## {title}"
    yield ""
    yield from (f"- {escape(sentence)}" for sentence in sentences)
    if not sentences:
        yield otherwise
    yield ""
