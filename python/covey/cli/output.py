"""What commands print: tables for people, JSON and YAML for programs, progress on stderr."""

from __future__ import annotations

import json
import math
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Annotated, Any, TextIO

import typer

TABLE_WIDTH = 80
_TTY_SECONDS = 0.1
_BAR_CELLS = 16


class OutputFormat(StrEnum):
    """The forms of a command's answer."""

    table = "table"
    json = "json"
    yaml = "yaml"


OutputOption = Annotated[OutputFormat, typer.Option("--output", "-o", help="Form of what is printed.")]


class CommandError(Exception):
    """A failure that a command explains in a line or two, with its exit code."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def print_data(data: Any, output: OutputFormat) -> None:
    """Print plain data (dictionaries, lists, numbers, text) as JSON or YAML."""
    if output is OutputFormat.json:
        print_text(json.dumps(data, indent=2, ensure_ascii=False))
    else:
        import yaml

        print_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True).rstrip())


def renamed(formerly: str, now: str) -> None:
    """Say on standard error that an option has another name by now; it does what it did."""
    typer.echo(f"covey: {formerly} is called {now} here; the old name will go", err=True)


def counted(count: int, singular: str, plural: str) -> str:
    """A count with its noun: "1 file", "1,204 files"."""
    return f"{count:,} {singular if count == 1 else plural}"


def print_text(text: str) -> None:
    """Print to standard output."""
    print(text)  # noqa: T201


def print_wrapped(text: str, indent: int = 0, stream: TextIO | None = None) -> None:
    """Print sentences for people: broken at 80 columns, or the terminal's where it is narrower; the rest indented."""
    print(wrapped(text, indent), file=stream or sys.stdout, flush=stream is not None)


def wrapped(text: str, indent: int = 0) -> str:
    """`text` broken between words at 80 columns or less; lines after the first begin with `indent` spaces."""
    columns = min(TABLE_WIDTH, shutil.get_terminal_size((TABLE_WIDTH, 24)).columns)
    lines = text.split("\n")
    return "\n".join(
        textwrap.fill(
            line,
            max(columns, indent + 20),
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in lines
    )


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], left: frozenset[int] = frozenset({0})) -> None:
    """Print a table, in 80 columns where the output is no terminal; in colour only on a terminal without NO_COLOR.

    Args:
        headings: one per column.
        rows: text cells.
        left: columns that align left; the others align right.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0, show_edge=False)
    for column, heading in enumerate(headings):
        table.add_column(Text(heading), justify="left" if column in left else "right")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    width = None if sys.stdout.isatty() else TABLE_WIDTH
    Console(file=sys.stdout, width=width, highlight=False).print(table)


class ProgressLine:
    """Progress of long work on stderr: a bar with rate and time left on a terminal, nothing elsewhere.

    Use it as a context: however the work ends, the line is gone and the cursor back.

    Args:
        clock: seconds, monotonic.
        stream: where it goes.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, stream: TextIO | None = None) -> None:
        self._clock = clock
        self._stream = stream or sys.stderr
        self._shown = self._stream.isatty()
        self._progress: Any = None
        self._task: Any = None
        self._what: str | None = None
        self._drawn = -math.inf

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def update(self, what: str, done: int, total: int, unit: str = "") -> None:
        """Tell how far `what` has come; cheap to call often."""
        if not self._shown:
            return
        if self._progress is None:
            self._progress = _rich_progress(self._stream, self._clock)
            self._progress.start()
        if what != self._what:
            if self._task is not None:
                self._progress.remove_task(self._task)
            # The rate is that of what comes from here on.
            self._task = self._progress.add_task(what, completed=done, total=total, unit=unit, begun=done)
            self._what, self._drawn = what, -math.inf
        self._progress.update(self._task, completed=done)
        now = self._clock()
        if now - self._drawn >= _TTY_SECONDS:
            self._progress.refresh()
            self._drawn = now

    def clear(self) -> None:
        """Remove the line."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def _rich_progress(stream: TextIO, clock: Callable[[], float]) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
    from rich.text import Text

    class Figures(ProgressColumn):
        """How much is done of how much, how fast, and how long the rest takes at that rate."""

        def render(self, task: Any) -> Text:
            unit = task.fields["unit"]
            text = f"{_figure(task.completed)} of {_figure(task.total)}{' ' + unit if unit else ''}"
            seconds = task.elapsed or 0.0
            rate = (task.completed - task.fields["begun"]) / seconds if seconds > 0 else 0.0
            if rate > 0:
                text += f", {_figure(rate)}/s" if unit else ""
                text += (
                    f", {_duration((task.total - task.completed) / rate)} left" if task.completed < task.total else ""
                )
            return Text(text, no_wrap=True, overflow="ellipsis")

    # Drawn by whoever reports, not by a thread: work that forks or holds the interpreter shares nothing with it.
    return Progress(
        TextColumn("{task.description}", style="bold"),
        BarColumn(bar_width=_BAR_CELLS),
        Figures(),
        console=Console(file=stream, highlight=False, markup=False, emoji=False),
        get_time=clock,
        auto_refresh=False,
        transient=True,
    )


def _figure(number: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:,.0f}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
