"""The terminal: where it is wide, coloured, live, and what is printed where it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from covey.report import words

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

# Colours that differ in lightness too; the words beside them carry the meaning without any.
GOOD, BAD, WAITING, DOUBTFUL, QUIET = "green", "bold red", "yellow", "magenta", "dim"

STATE_STYLES = {
    "RUNNING": "bold cyan",
    "SOAKING": "bold cyan",
    "HOLDING": f"bold {WAITING}",
    "AWAITING APPROVAL": f"bold {WAITING}",
    "ROLLING BACK": BAD,
    "ROLLED BACK": BAD,
    "ABORTED": BAD,
    "SUCCEEDED": f"bold {GOOD}",
}
RESULT_STYLES = {
    "PASS": GOOD,
    "excluded": GOOD,
    "FAIL": BAD,
    "SHOWN": BAD,
    "INSUFFICIENT": WAITING,
    "INVALID": DOUBTFUL,
    "not shown": "",
}


def console() -> Console:
    """A console on standard output as it is now; 80 columns where it is no terminal."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def text(content: str, style: str = "") -> Text:
    """Text from anywhere, without markup and without characters that steer a terminal."""
    from rich.text import Text

    return Text(words.clean(content), style=style)
