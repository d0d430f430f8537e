"""The command line as a person types it, and the commands that a page shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from covey.cli import main

PROJECT = Path(__file__).parents[1]


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of `covey` with these arguments."""
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return int(left.value.code or 0), captured.out, captured.err


def commands_of(page: str, word: str = "covey") -> list[str]:
    """The lines of the first block of shell commands that has a word, of a page of docs/."""
    text = (PROJECT / "docs" / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    found: str = next(block for block in blocks if word in block)
    return found.strip().splitlines()
