"""A terminal, and an installation to type at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from covey.cli import main

from .installed import Installed
from .typist import Run


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def typed(arguments: list[str]) -> int:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        print(*capsys.readouterr())
        return int(ended.value.code or 0)

    return typed


@pytest.fixture
def installed(tmp_path: Path, run: Run) -> Iterator[Installed]:
    made = Installed(tmp_path)
    yield made
    made.close()
