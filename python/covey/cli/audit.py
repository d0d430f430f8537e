"""`covey audit`: who did what and why, and whether the record of it can be believed."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from covey.cli.connection import ExitCode, Session, verb
from covey.cli.output import TABLE_WIDTH, CommandError, counted, print_data, print_text

if TYPE_CHECKING:
    from covey.rollout.chain import Break, Record
    from covey.v1.journal_pb2 import Entry

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)

DirectoryOption = Annotated[
    Path | None,
    typer.Option("--data-directory", help="A data directory, or a copy of its database, in place of a live server."),
]
_MOST_BREAKS_SHOWN = 20


@app.callback()
def _audit() -> None:
    """Who did what and why, and whether the record of it can be believed."""


@verb(app)
def show(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="ROLLOUT", help="rollouts/x, or x.", show_default=False)],
    data_directory: DirectoryOption = None,
    ticks: Annotated[bool, typer.Option("--ticks", help="The controller's looks too; most of a journal.")] = False,
) -> None:
    """Each entry: when, who, what, why, by which version, and the digest that seals it."""
    from covey.client.names import rollout_name

    rows = [
        _row(record, entry)
        for record, entry in _entries(session, rollout_name(name), data_directory)
        if ticks or not entry.HasField("tick")
    ]
    if not session.is_table:
        print_data(rows, session.output)
        return
    date = ""
    for row in rows:
        if row["time"][:10] != date:
            date = row["time"][:10]
            print_text(date)
        print_text(_lines(row))


@verb(app)
def verify(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="[ROLLOUT]", help="Default: every rollout.", show_default=False)] = "",
    data_directory: DirectoryOption = None,
) -> int:
    """Recompute the chain of every journal; names each record that is not as it was written, and fails then."""
    from covey.client.names import rollout_name

    wanted = rollout_name(name) if name else ""
    found = [_document(*each) for each in _checked(session, wanted, data_directory)]
    if wanted and not found:
        raise CommandError(f"{wanted}: there is no such rollout")
    broken = [each for each in found if each["breaks"]]
    if not session.is_table:
        print_data(found, session.output)
    else:
        for each in found:
            _print_verified(each)
    return ExitCode.FAILED if broken else ExitCode.OK


def _lines(row: dict[str, Any]) -> str:
    """Two lines, more where the reason is long: a table of these columns would cut each of them at 80."""
    from covey.report import words

    doubt = "" if row["verified"] or row["who"] == "server" else " (unverified)"
    first = f"{row['sequence']:>5}  {row['time'][11:19]}Z  {row['what']}, by {row['who']}{doubt}"
    second = f"covey {row['version']}, digest {row['digest'][:12]}" + (f": {row['why']}" if row["why"] else "")
    folded = textwrap.wrap(
        words.clean(second), TABLE_WIDTH, initial_indent=" " * 7, subsequent_indent=" " * 7, break_on_hyphens=False
    )
    return "\n".join([words.clean(first), *folded])


def _print_verified(document: dict[str, Any]) -> None:
    breaks = document["breaks"]
    if not breaks:
        count, head = counted(document["entries"], "entry", "entries"), document["head_digest"]
        print_text(f"{document['rollout']}: {count}, each as it was written; head {head}")
    for each in breaks[:_MOST_BREAKS_SHOWN]:
        print_text(f"{document['rollout']}: record {each['sequence']}: {each['problem']}")
    if len(breaks) > _MOST_BREAKS_SHOWN:
        print_text(f"{document['rollout']}: and {len(breaks) - _MOST_BREAKS_SHOWN:,} more")


def _document(rollout: str, count: int, head: bytes, breaks: tuple[Break, ...]) -> dict[str, Any]:
    return {
        "rollout": rollout,
        "entries": count,
        "head_digest": head.hex(),
        "breaks": [{"sequence": each.sequence, "problem": each.problem} for each in breaks],
    }


def _checked(
    session: Session, wanted: str, directory: Path | None
) -> Iterator[tuple[str, int, bytes, tuple[Break, ...]]]:
    if directory is None:
        names = [wanted] if wanted else sorted(each.name for each in session.client.list_rollouts())
        for name in names:
            yield _checked_live(session, name)
        return
    from covey_server.rollouts.journal_audit import store_to_audit
    from covey_server.store import StoreError

    try:
        with store_to_audit(directory) as store:
            for name in store.names():
                if not wanted or name == wanted:
                    journal = store.checked(name)
                    yield journal.rollout, journal.record_count, journal.head, journal.breaks
    except StoreError as error:
        raise CommandError(str(error)) from error


def _checked_live(session: Session, name: str) -> tuple[str, int, bytes, tuple[Break, ...]]:
    from covey.rollout.chain import breaks

    # The journal may grow between pages: the last page's head belongs to its last record.
    records, last_sequence, head = [], 0, b""
    for page in session.client.list_records(name):
        records += [_record(each) for each in page.records]
        last_sequence, head = page.last_sequence, page.head_digest
    return name, len(records), head, tuple(breaks(name, records, last_sequence, head))


def _entries(session: Session, name: str, directory: Path | None) -> Iterator[tuple[Record, Entry]]:
    if directory is None:
        from covey.v1.journal_pb2 import Entry

        for page in session.client.list_records(name):
            for each in page.records:
                yield _record(each), Entry.FromString(each.entry)
        return
    from covey_server.rollouts.journal_audit import store_to_audit
    from covey_server.store import StoreError

    try:
        with store_to_audit(directory) as store:
            yield from store.entries(name)
    except StoreError as error:
        raise CommandError(str(error)) from error


def _record(message: Any) -> Record:
    from covey.rollout.chain import Record

    return Record(message.sequence, message.entry, message.digest)


def _row(record: Record, entry: Entry) -> dict[str, Any]:
    return {
        "sequence": record.sequence,
        "time": entry.time.ToDatetime(tzinfo=UTC).isoformat(timespec="seconds"),
        "who": entry.actor,
        "verified": entry.actor_verified,
        "what": (entry.WhichOneof("payload") or "nothing").replace("_", " "),
        "why": entry.reason,
        "version": entry.version,
        "request_id": entry.request_id,
        "epoch": entry.epoch,
        "spec_digest": entry.spec_digest or entry.created.spec_digest,
        "evidence_digest": entry.previous_digest.hex(),
        "digest": record.digest.hex(),
    }
