"""A failed test is forgiven only where it passes each time alone: seen on a real race, a fault and a crowd."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests import alone

RACE = "def test_race():\n    import pathlib\n    assert pathlib.Path('quiet').exists()\n"
FAULT = "def test_fault():\n    assert False\n"
LUCK = """
def test_luck():
    import pathlib
    runs = pathlib.Path("runs")
    count = int(runs.read_text()) if runs.exists() else 0
    runs.write_text(str(count + 1))
    assert count in (1, 2)
"""
CROWD = "import pytest\n@pytest.mark.parametrize('number', range(4))\ndef test_crowd(number):\n    assert False\n"


def judged(directory: Path, source: str) -> tuple[int, str]:
    """The exit code and the words of a run that failed beside others, in a directory of its own."""
    (directory / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    (directory / "test_it.py").write_text(source)
    subprocess.run([sys.executable, "-m", "pytest", "-q"], check=False, cwd=directory, capture_output=True)
    (directory / "quiet").touch()
    command = [sys.executable, alone.__file__]
    done = subprocess.run(command, check=False, cwd=directory, capture_output=True, text=True)
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("source", "code", "word"),
    [
        (RACE, 0, "RACE  test_it.py::test_race"),
        (FAULT, 1, "FAULT test_it.py::test_fault: failed beside others, passed 0 of 3"),
        (LUCK, 1, "FAULT test_it.py::test_luck: failed beside others, passed 2 of 3"),
        (CROWD, 1, "4 tests failed"),
        ("def broken(:\n", 1, "FAULT test_it.py"),
        ("", 1, "without a failed test"),
    ],
)
def test_only_a_race_is_forgiven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, code: int, word: str
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    done, said = judged(tmp_path, source)
    assert (done, word in said) == (code, True), said
