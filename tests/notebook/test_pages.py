"""The page about notebooks and the executed notebook are true."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from typer.testing import CliRunner

from covey.cli import app

PROJECT = Path(__file__).resolve().parents[2]
NOTEBOOK = PROJECT / "examples" / "oulad.ipynb"
MOST_BYTES = 1_000_000


def test_every_block_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = (PROJECT / "docs" / "notebook.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert {language for language, _ in blocks} == {"sh", "python"}
    names: dict[str, object] = {}
    for language, text in blocks:
        if language == "python":
            exec(text, names)
        else:
            for line in text.splitlines():
                told = CliRunner().invoke(app, line.removeprefix("covey ").split(), catch_exceptions=False)
                assert told.exit_code == 0, told.output
    assert Path("separation.svg").read_text(encoding="utf-8").count("</svg>") == 1
    assert Path("retention.svg").exists()
    assert "3 cohorts of 2,000 learners" in capsys.readouterr().out


def outputs(path: Path) -> list[list[str]]:
    """Per code cell the numbers that it shows, and "picture" for one."""
    found = []
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        shown = []
        for output in cell.outputs:
            assert output.output_type != "error"
            if "image/png" in output.get("data", {}):
                assert base64.b64decode(output.data["image/png"]).startswith(b"\x89PNG")
                shown.append("picture")
                continue
            data = output.get("data", {})
            shown += re.findall(r"[0-9a-f]{64}|\d[\d.,]*", data.get("text/plain", "") + output.get("text", ""))
        found.append(shown)
    return found


def test_the_notebook_is_small_and_was_executed():
    assert NOTEBOOK.stat().st_size < MOST_BYTES
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert outputs(NOTEBOOK).count(["picture"]) >= 2


@pytest.mark.data
def test_the_notebook_says_the_same_again(shared_data, tmp_path):
    """On any machine: the numbers, the fingerprint among them, have the same bits everywhere."""
    data = shared_data("oulad_student_vle.parquet").parent
    again = tmp_path / "again.ipynb"
    command = [sys.executable, str(PROJECT / "examples" / "execute_notebook.py"), str(NOTEBOOK), str(again)]
    environment = os.environ | {"OULAD": str(data), "IPYTHONDIR": str(tmp_path / "ipython")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert outputs(again) == outputs(NOTEBOOK)
