"""The page about notebooks and the executed notebooks are true."""

from __future__ import annotations

import base64
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from covey.cli import app

PROJECT = Path(__file__).resolve().parents[2]
EXAMPLES = PROJECT / "examples"
# With how many pictures, at least.
NOTEBOOKS = {"oulad.ipynb": 3, "experiment.ipynb": 2, "oulad_course.ipynb": 7, "mooc_groups.ipynb": 1}
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
            data = output.get("data", {})
            if "image/png" in data:
                assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
            if "image/png" in data or "image/svg+xml" in data:
                shown.append("picture")
                continue
            shown += re.findall(r"[0-9a-f]{64}|\d[\d.,]*", data.get("text/plain", "") + output.get("text", ""))
        found.append(shown)
    return found


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_small_and_was_executed(name: str) -> None:
    path = EXAMPLES / name
    assert path.stat().st_size < MOST_BYTES
    notebook = nbformat.read(path, as_version=4)
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert sum(shown[-1:] == ["picture"] for shown in outputs(path)) >= NOTEBOOKS[name]


def test_every_notebook_is_made_again_by_make() -> None:
    assert {path.name for path in EXAMPLES.glob("*.ipynb")} == set(NOTEBOOKS)
    asked = subprocess.run(
        ["make", "--dry-run", "--silent", "notebook"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert all(f"examples/{name}" in asked.stdout for name in NOTEBOOKS)


def executed(name: str, directory: Path, data: Path) -> Path:
    again = directory / "again.ipynb"
    command = [sys.executable, str(EXAMPLES / "execute_notebook.py"), str(EXAMPLES / name), str(again)]
    environment = os.environ | {"OULAD": str(data), "IPYTHONDIR": str(directory / "ipython")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return again


@pytest.mark.data
def test_the_notebook_says_the_same_again(shared_data, tmp_path):
    """On any machine: the numbers, the fingerprint among them, have the same bits everywhere."""
    data = shared_data("oulad_student_vle.parquet").parent
    assert outputs(executed("oulad.ipynb", tmp_path, data)) == outputs(EXAMPLES / "oulad.ipynb")


@pytest.mark.data
@pytest.mark.parametrize("name", ["oulad_course.ipynb", "mooc_groups.ipynb"])
def test_real_learners_say_nearly_the_same_again(shared_data, tmp_path, name):
    data = shared_data("oulad_student_vle.parquet").parent
    shared_data("mooc_dlt1_edgelist.parquet")
    assert_alike(outputs(executed(name, tmp_path, data)), outputs(EXAMPLES / name))


def test_the_made_up_experiment_says_nearly_the_same_again(tmp_path):
    assert_alike(outputs(executed("experiment.ipynb", tmp_path, tmp_path)), outputs(EXAMPLES / "experiment.ipynb"))


def assert_alike(again: list[list[str]], before: list[list[str]]) -> None:
    """Other libraries take part, whose last digits differ by version and processor."""
    assert [len(shown) for shown in again] == [len(shown) for shown in before]
    for now, then in zip(itertools.chain(*again), itertools.chain(*before), strict=True):
        if now != then:
            assert float(now.strip(".,").replace(",", "")) == pytest.approx(
                float(then.strip(".,").replace(",", "")), rel=0.03, abs=0.011
            )


@pytest.mark.data
def test_no_notebook_names_a_learner(shared_data):
    """What is committed is about many: numbers of the Open University's students are looked for as whole words."""
    ids = pq.read_table(shared_data("oulad_student_info.parquet"), columns=["id_student"])["id_student"].to_pylist()
    for name in NOTEBOOKS:
        words = set(re.findall(r"(?<![\d.,])\d{4,7}(?![\d.,]*\d)", shown_text(EXAMPLES / name)))
        assert not words & set(map(str, ids)), name


def shown_text(path: Path) -> str:
    """Everything that a notebook shows in words: prints, tables, and pictures that are drawn with text."""
    kinds = ("text/plain", "text/html", "text/markdown")
    return "\n".join(
        output.get("text", "") + "\n".join(output.get("data", {}).get(kind, "") for kind in kinds)
        for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code" for output in cell.outputs
    )  # fmt: skip
