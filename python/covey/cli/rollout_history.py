"""Verbs that tell from the journal: history, report, postmortem, schedule."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from covey.cli.connection import ExitCode, Session, plain, verb
from covey.cli.output import CommandError, print_data, print_text, print_wrapped
from covey.cli.rollout_arguments import NameArgument, complete_rollouts, rollout_app

if TYPE_CHECKING:
    from covey.v1.journal_pb2 import Entry

OptionalNameArgument = Annotated[
    str,
    typer.Argument(metavar="[ROLLOUT]", help="rollouts/x, or x.", show_default=False, autocompletion=complete_rollouts),
]
JournalOption = Annotated[Path | None, typer.Option(help="Read `history --ticks --output json` instead of a server.")]


@verb(rollout_app)
def history(
    session: Session,
    name: NameArgument,
    ticks: Annotated[bool, typer.Option("--ticks", help="The controller's looks too; most of a journal.")] = False,
) -> None:
    """The journal as a story; with --output json --ticks everything that a report needs."""
    entries = session.client.list_entries(name, omit_ticks=not ticks)
    if not session.is_table:
        print_data([plain(entry) for entry in entries], session.output)
        return
    _print_story(entries)


def _print_story(entries: Iterable[Entry]) -> None:
    from rich.table import Table

    from covey.cli.console import QUIET, console, text
    from covey.report.story import tell

    terminal = console()
    unverified = False
    for entry in entries:
        unverified |= not entry.actor_verified and entry.actor not in {"", "server"}
        for event in tell([entry], ticks=True):
            # A grid per entry: a journal may be long, and its first line should not wait for its last.
            row = Table.grid(padding=(0, 2, 0, 0))
            row.add_column(justify="right", width=5)
            row.add_column(width=len(event.time))
            row.add_column(overflow="fold")
            why = f": {event.reason}" if event.reason else ""
            what = text(event.text).append("\n").append_text(text(f"by {event.actor}{why}", QUIET))
            row.add_row(text(str(event.sequence)), text(event.time), what)
            terminal.print(row)
    if unverified:
        terminal.print(text("Names are by the callers' own word; nobody checked them.", QUIET))


@verb(rollout_app)
def report(
    session: Session,
    name: OptionalNameArgument = "",
    directory: Annotated[Path, typer.Option(help="Where report.md, report.html and report.json go.")] = Path(),
    journal: JournalOption = None,
) -> None:
    """Write the report: Markdown, one HTML file with pictures, JSON. With --output json|yaml print the data instead."""
    from covey.report import build_report

    entries = _entries_of(session, name, journal)
    if not session.is_table:
        print_data(json.loads(build_report(entries).to_json()), session.output)
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
        made = build_report(entries)
        for file_name, content in made.files():
            (directory / file_name).write_text(content, encoding="utf-8")
            print_text(str(directory / file_name))
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}; name a folder to write to with --directory") from error


@verb(rollout_app)
def postmortem(
    session: Session,
    name: OptionalNameArgument = "",
    journal: JournalOption = None,
) -> None:
    """Begin a post-mortem, in Markdown: after a rollback or an incident, what is on record and what people must add."""
    from covey.report.postmortem import postmortem as draft_of

    entries = _entries_of(session, name, journal)
    try:
        text = draft_of(entries)
    except ValueError as error:
        raise CommandError(str(error)) from error
    if session.is_table:
        print_text(text.rstrip())
    else:
        print_data({"name": entries[0].created.rollout, "markdown": text}, session.output)


@verb(rollout_app)
def schedule(session: Session, name: OptionalNameArgument = "", journal: JournalOption = None) -> None:
    """What comes next: when each phase begins and ends at the earliest, what it waits for, and who is called."""
    from dataclasses import asdict

    from covey.report import words
    from covey.report.schedule import on_call_text, schedule_lines
    from covey.rollout.state import fold

    entries = _entries_of(session, name, journal)
    state = fold(entries)
    now = entries[-1].time.ToDatetime(UTC) if journal else datetime.now(UTC)
    lines = schedule_lines(state, now)
    if not session.is_table:
        print_data({"name": state.name, "phases": [asdict(line) for line in lines]}, session.output)
        return
    if not lines:
        print_text(f"{state.name} is {words.state(state.state)}: nothing comes next")
        return
    for line in lines:
        print_text(words.clean(f"{line.phase}, {words.share(line.share_bp)}: {line.begins} to {line.ends}"))
        print_wrapped(words.clean(f"  waits for {line.waits_for}"), 4)
    print_wrapped(words.clean(f"on call: {on_call_text(state.spec.on_call)}"), 2)


def _entries_of(session: Session, name: str, journal: Path | None) -> list[Entry]:
    """The journal that a verb is about, from a file or the server.

    Raises:
        ValueError: neither or both are named.
    """
    if bool(name) == bool(journal):
        raise ValueError("name one rollout, or give --journal FILE")
    return read_journal(journal) if journal else list(session.client.list_entries(name))


def read_journal(path: Path) -> list[Entry]:
    """Entries from a file that `history --ticks --output json` printed.

    Raises:
        CommandError: no such file, or no such journal in it.
    """
    from google.protobuf.json_format import ParseDict, ParseError

    from covey.v1.journal_pb2 import Entry

    remedy = "make one with `covey rollout history ROLLOUT --ticks --output json`"
    try:
        documents = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}; {remedy}") from error
    except ValueError as error:
        raise CommandError(f"{path}: no JSON ({error}); {remedy}", ExitCode.FAILED) from error
    if not isinstance(documents, list):
        raise CommandError(f"{path}: expected a list of journal entries; {remedy}")
    entries = []
    for position, document in enumerate(documents):
        try:
            entries.append(ParseDict(document, Entry()))
        except (ParseError, TypeError, AttributeError) as error:
            raise CommandError(f"{path}: entry {position} (counted from 0): {error}; {remedy}") from error
    return entries
