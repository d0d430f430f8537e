"""What commands print: tables for people, JSON and YAML for programs, progress on stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, TextIO

TABLE_WIDTH = 80
_TTY_SECONDS = 0.1
_PLAIN_SECONDS = 10.0


class OutputFormat(StrEnum):
    """The forms of a command's answer."""

    table = "table"
    json = "json"
    yaml = "yaml"


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


def counted(count: int, singular: str, plural: str) -> str:
    """A count with its noun: "1 file", "1,204 files"."""
    return f"{count:,} {singular if count == 1 else plural}"


def print_text(text: str) -> None:
    """Print to standard output."""
    print(text)  # noqa: T201


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
    """Progress of long work on stderr: one line rewritten on a terminal, a plain line every ten seconds elsewhere.

    Args:
        clock: seconds, monotonic.
        stream: where it goes.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, stream: TextIO | None = None) -> None:
        self._clock = clock
        self._stream = stream or sys.stderr
        self._is_terminal = self._stream.isatty()
        self._interval = _TTY_SECONDS if self._is_terminal else _PLAIN_SECONDS
        self._what: str | None = None
        self._started = self._printed = clock()
        self._done_at_start = 0

    def update(self, what: str, done: int, total: int, unit: str = "") -> None:
        """Tell how far `what` has come; cheap to call often."""
        now = self._clock()
        if what != self._what:
            self._what, self._started, self._done_at_start = what, now, done
            if self._is_terminal:
                self._printed = now - self._interval
        if now - self._printed < self._interval:
            return
        self._printed = now
        seconds = now - self._started
        text = f"{what}: {done:,} of {total:,}{' ' + unit if unit else ''}"
        if unit and seconds > 0:
            rate = (done - self._done_at_start) / seconds
            text += f", {rate:,.0f} {unit}/s"
            text += f", {_duration((total - done) / rate)} left" if rate and done < total else ""
        self._write(text)

    def clear(self) -> None:
        """Remove the line from a terminal."""
        if self._is_terminal:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _write(self, text: str) -> None:
        self._stream.write(f"\r\x1b[K{text}" if self._is_terminal else f"{text}\n")
        self._stream.flush()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
