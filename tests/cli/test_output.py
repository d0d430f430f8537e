"""Progress goes to stderr of a terminal and nowhere else; sentences are broken where 80 columns end."""

from __future__ import annotations

import io
import re

import pytest

from covey.cli.output import ProgressLine, wrapped

CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Stream(io.StringIO):
    def __init__(self, is_terminal):
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self):
        return self.is_terminal


class Clock:
    seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture(autouse=True)
def _a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)


def shown(stream):
    """What a terminal showed, one text per time it was drawn."""
    return [line.strip() for line in re.split(r"[\r\n]+", CODES.sub("", stream.getvalue())) if line.strip()]


def test_a_terminal_sees_one_line_with_rate_and_time_left():
    clock, stream = Clock(), Stream(is_terminal=True)
    with ProgressLine(clock, stream) as line:
        for step in range(1, 1_001):
            clock.seconds = step / 1_000
            line.update("read", step * 1_000, 2_000_000, "rows")
    drawn = shown(stream)
    assert 9 <= len(drawn) <= 14
    assert drawn[4].endswith(" 302,000 of 2M rows, 1M/s, 2 s left")
    assert drawn[-1].endswith(" 1M of 2M rows, 1M/s, 1 s left")
    assert max(map(len, drawn)) <= 80
    assert stream.getvalue().endswith("\x1b[2K"), "the line is taken away"


def test_the_rate_is_that_of_the_present_work():
    clock, stream = Clock(), Stream(is_terminal=True)
    with ProgressLine(clock, stream) as line:
        for second in range(5):
            clock.seconds = second
            line.update("read", second * 100, 1000, "rows")
        for second in range(5, 9):
            clock.seconds = second
            line.update("spill", 500 + (second - 5) * 10, 1000, "rows")
    assert "530 of 1,000 rows, 10/s, 47 s left" in shown(stream)[-1]


def test_large_figures_fit_80_columns():
    clock, stream = Clock(), Stream(is_terminal=True)
    with ProgressLine(clock, stream) as line:
        line.update("silhouettes by k", 0, 5_600_000_000, "rows")
        clock.seconds = 300
        line.update("silhouettes by k", 1_234_567_890, 5_600_000_000, "rows")
    assert shown(stream)[-1].endswith("1.23G of 5.6G rows, 4.12M/s, 17 min 41 s left")
    assert max(map(len, shown(stream))) <= 80


def test_a_failure_leaves_no_line_and_no_hidden_cursor():
    stream = Stream(is_terminal=True)
    with pytest.raises(ZeroDivisionError), ProgressLine(Clock(), stream) as line:
        line.update("read", 1, 2, "rows")
        raise ZeroDivisionError
    text = stream.getvalue()
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l") >= 0


def test_no_colour_where_none_is_wanted(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Stream(is_terminal=True)
    with ProgressLine(Clock(), stream) as line:
        line.update("read", 1, 2, "rows")
    assert "1 of 2 rows" in CODES.sub("", stream.getvalue())
    assert not re.search(r"\x1b\[[0-9;]*(3[0-79]|38|9[0-7])[;m]", stream.getvalue())


def test_a_pipe_sees_nothing():
    clock, stream = Clock(), Stream(is_terminal=False)
    with ProgressLine(clock, stream) as line:
        for step in range(100):
            clock.seconds = step
            line.update("read", step, 100, "rows")
    assert stream.getvalue() == ""


def test_sentences_break_at_80_columns_and_words_do_not(monkeypatch):
    text = "09:00:00Z  " + "a sentence of some words " * 8 + "x" * 100
    lines = wrapped(text, indent=11).splitlines()
    assert max(len(line) for line in lines[:-1]) <= 80
    assert all(line.startswith(" " * 11) for line in lines[1:])
    assert lines[-1].strip() == "x" * 100
    assert " ".join(" ".join(lines).split()) == " ".join(text.split())
    monkeypatch.setenv("COLUMNS", "40")
    assert max(len(line) for line in wrapped(text).splitlines()[:-1]) <= 40
