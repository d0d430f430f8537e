"""`covey rollout replay`: what gates decided, or would have decided, on a journal or on counters from elsewhere."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from covey.cli.connection import ExitCode, Session, verb
from covey.cli.output import CommandError, counted, print_data, print_text
from covey.cli.rollout_arguments import operator_of, rollout_app

if TYPE_CHECKING:
    from covey.rollout.rehearsal import Operator, Rehearsed
    from covey.rollout.samples import Samples
    from covey.v1.journal_pb2 import Entry
    from covey.v1.rollout_spec_pb2 import RolloutSpec

TABLES = {".csv", ".parquet"}


@verb(rollout_app)
def replay(
    session: Session,
    source: Annotated[
        str,
        typer.Argument(
            metavar="[SOURCE]",
            help="A journal (history --ticks --output json), a rollout on the server, or counters in .csv or .parquet.",
            show_default=False,
        ),
    ] = "",
    spec: Annotated[Path | None, typer.Option(help="Another plan: what would its gates have decided?")] = None,
    cumulative: Annotated[
        bool, typer.Option("--cumulative", help="Counters since the service began, not per interval.")
    ] = False,
    begin: Annotated[
        str, typer.Option(help="The first phase begins no earlier; counters before only teach the baseline.")
    ] = "",
    operator: Annotated[
        str, typer.Option(help="approve: signs every phase; accept: open criteria too; nobody.")
    ] = "approve",
    prometheus: Annotated[str, typer.Option(help="Read counters from that server, such as http://HOST:9090.")] = "",
    start: Annotated[str, typer.Option(help="With --prometheus: from when, ISO 8601 with its zone.")] = "",
    end: Annotated[str, typer.Option(help="With --prometheus: until when.")] = "",
    step: Annotated[str, typer.Option(help="With --prometheus: time between two points.")] = "30s",
    query: Annotated[
        list[str] | None, typer.Option(help="With --prometheus: another query for a counter, as errors=PROMQL.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write an explanation in Markdown there.")] = None,
) -> int:
    """Decide again: a journal byte for byte, or, with --spec, what other gates would have decided, when and why."""
    from covey.rollout.findings import SpecError
    from covey.rollout.model import IllegalEntry
    from covey.rollout.samples import SampleError

    if not source and not prometheus:
        raise ValueError("name a journal, a rollout or a table of counters; see --help")
    people = operator_of(operator)
    try:
        if prometheus:
            if spec is None:
                raise ValueError("counters need a plan: --spec plan.yaml")
            made = _replay_range(prometheus, _plan(spec), (start, end, step), query or [], begin, people)
        elif Path(source).suffix.lower() in TABLES:
            if spec is None:
                raise ValueError("counters need a plan: --spec plan.yaml")
            made = _replay_samples(Path(source), _plan(spec), cumulative, begin, people)
        else:
            entries = _journal(session, source)
            if spec is None:
                return _check_identical(session, entries, source)
            made = _replay_journal(entries, _plan(spec), people)
    except (SampleError, SpecError, IllegalEntry) as error:
        raise CommandError(str(error)) from error
    return show(session, made, source or prometheus, spec.name, report)


def _plan(path: Path) -> RolloutSpec:
    from covey.cli.rollout_check import Checked

    checked = Checked(path)
    if checked.spec is None:
        raise CommandError("\n".join(checked.lines()))
    return checked.spec


def _journal(session: Session, source: str) -> list[Entry]:
    from covey.cli.rollout_history import read_journal

    path = Path(source)
    if path.is_file():
        return read_journal(path)
    if path.suffix:
        raise CommandError(f"{source}: no such file")
    return list(session.client.list_entries(source))


def _check_identical(session: Session, entries: Sequence[Entry], source: str) -> int:
    from covey.rollout.replay import ReplayError
    from covey.rollout.replay import replay as decide_again

    problem = ""
    try:
        made = decide_again(entries)
    except ReplayError as error:
        problem = str(error)
    else:
        for was, now in zip(entries, made, strict=True):
            if was.SerializeToString(deterministic=True) != now.SerializeToString(deterministic=True):
                kind = was.WhichOneof("payload")
                problem = f"entry {was.sequence} ('{kind}') has other contents than decide() gives it"
                break
    ticks = sum(entry.WhichOneof("payload") == "tick" for entry in entries)
    if not session.is_table:
        document = {"source": source, "entries": len(entries), "looks": ticks, "identical": not problem}
        print_data(document | ({"problem": problem} if problem else {}), session.output)
    elif problem:
        print_text(f"{source}: {problem}")
    else:
        size = f"{counted(len(entries), 'entry', 'entries')}, {counted(ticks, 'look', 'looks')}"
        print_text(f"{source}: {size}: the same decisions, byte for byte")
    return ExitCode.FAILED if problem else ExitCode.OK


def _replay_journal(entries: Sequence[Entry], spec: RolloutSpec, operator: Operator) -> Rehearsed:
    from covey.rollout.other_gates import judged_by

    return judged_by(entries, spec, operator=operator)


def _replay_samples(path: Path, spec: RolloutSpec, cumulative: bool, begin: str, operator: Operator) -> Rehearsed:
    from covey.rollout.sample_replay import rehearse_samples

    samples = read_table(path, cumulative=cumulative)
    return rehearse_samples(spec, samples, begins=_begin(begin, samples), operator=operator)


def _replay_range(
    address: str,
    spec: RolloutSpec,
    times: tuple[str, str, str],
    queries: Sequence[str],
    begin: str,
    operator: Operator,
) -> Rehearsed:
    from covey.cli.connection import seconds
    from covey.cli.prometheus_range import read_range
    from covey.rollout.sample_replay import rehearse_samples

    ends = []
    for option, text in zip(("--start", "--end"), times[:2], strict=True):
        try:
            ends.append(datetime.fromisoformat(text))
        except ValueError:
            raise ValueError(f"{option} {text!r} is no time; write 2026-05-01T06:00:00Z") from None
        if ends[-1].tzinfo is None:
            raise ValueError(f"{option} {text!r} has no zone; write {text}Z for UTC")
    overrides = {}
    for each in queries:
        counter, given, text = each.partition("=")
        if not given or not text.strip():
            raise ValueError(f"--query {each!r}: write a counter and its query, such as errors=sum by (variant) (...)")
        overrides[counter.strip()] = text
    step_seconds = seconds(times[2], "--step").total_seconds()
    samples = read_range(address, spec, ends[0], ends[1], step_seconds, overrides)
    return rehearse_samples(spec, samples, begins=_begin(begin, samples), operator=operator)


def _begin(text: str, samples: Samples) -> datetime | None:
    """A time, or a duration after the first interval's beginning."""
    if not text:
        return None
    from covey.rollout.units import parse_duration

    try:
        return samples.begins + parse_duration(text).ToTimedelta()
    except ValueError:
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            time = None
    if time is None or time.tzinfo is None:
        raise ValueError(f"--begin {text!r} is neither a time with its zone nor a duration such as 1h")
    return time


def read_table(path: Path, *, cumulative: bool = False) -> Samples:
    """Counters from a CSV or Parquet file.

    Raises:
        CommandError: no such table.
        SampleError: it is no evidence.
    """
    from covey.rollout.samples import read_samples

    header: Sequence[str]
    rows: list[Sequence[Any]]
    if path.suffix.lower() == ".csv":
        try:
            with path.open(encoding="utf-8", newline="") as file:
                lines = [line for line in file if line.strip() and not line.startswith("#")]
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
            raise CommandError(f"{path}: {reason}; expected a table of counters") from error
        cells = list(csv.reader(lines))
        if not cells:
            raise CommandError(f"{path}: it is empty; expected a header and rows")
        header, rows = cells[0], list(cells[1:])
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowException) as error:
            raise CommandError(f"{path}: {error}; expected a Parquet table of counters") from error
        header = table.column_names
        rows = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    return read_samples(header, rows, path.name, cumulative=cumulative)


def show(session: Session, made: Rehearsed, source: str, plan_name: str, report: Path | None) -> int:
    """Prints what would have happened, and writes the explanation where it is asked for."""
    from covey.report import rehearsal, story

    lines = rehearsal.final_lines(made)
    if session.is_table:
        from covey.cli.console import RESULT_STYLES, console, text

        terminal = console()
        for event in story.tell(made.entries):
            terminal.print(text(f"{event.time}  {event.text}"))
        for line in lines:
            terminal.print(text(f"{line.word}: ", RESULT_STYLES.get(line.word, "")).append_text(text(line.sentence)))
        for note in made.notes:
            terminal.print(text(f"note: {note}"))
        terminal.print(text(f"{rehearsal.decision(made)}: {made.state.explanation}"))
    else:
        from dataclasses import asdict

        document = {
            "source": source,
            "plan": plan_name,
            "decision": rehearsal.decision(made).replace(" ", "_"),
            "phase": made.state.phase,
            "explanation": made.state.explanation,
            "notes": list(made.notes),
            "verdicts": [asdict(line) for line in lines],
            "events": [event._asdict() for event in story.tell(made.entries)],
        }
        print_data(document, session.output)
    if report is not None:
        try:
            report.write_text(rehearsal.write_rehearsal(made, Path(source).name, plan_name), encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{report}: {error.strerror}; name a file to write to") from error
    return ExitCode.OK
