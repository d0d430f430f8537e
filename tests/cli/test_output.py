"""Progress goes to stderr: a rewritten line on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import io

from covey.cli.output import ProgressLine


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


def test_a_terminal_sees_one_line_with_a_rate():
    clock, stream = Clock(), Stream(is_terminal=True)
    line = ProgressLine(clock, stream)
    for step in range(1, 1_001):
        clock.seconds = step / 1_000
        line.update("reading", step * 1_000, 1_000_000, "rows")
    line.clear()
    text = stream.getvalue()
    assert 9 <= text.count("\r") <= 13
    assert "\n" not in text
    assert "of 1,000,000 rows, 1,000,000 rows/s" in text
    assert text.endswith("\r\x1b[K")


def test_a_file_sees_a_line_every_ten_seconds():
    clock, stream = Clock(), Stream(is_terminal=False)
    line = ProgressLine(clock, stream)
    for step in range(1, 251):
        clock.seconds = step / 10
        line.update("reading", step, 250, "rows")
    line.clear()
    assert stream.getvalue().splitlines() == [
        "reading: 100 of 250 rows, 10 rows/s, 15 s left",
        "reading: 200 of 250 rows, 10 rows/s, 5 s left",
    ]
