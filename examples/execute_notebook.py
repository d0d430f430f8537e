"""Runs a notebook and keeps what it shows: `python examples/execute_notebook.py IN.ipynb [OUT.ipynb]`."""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

_CELL_SECONDS = 120


def execute(source: Path, target: Path) -> None:
    """Execute `source` in its own folder and write it with its outputs, without times and versions, to `target`.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed; nothing is written.
    """
    notebook = nbformat.read(source, as_version=4)
    folder = {"metadata": {"path": str(source.resolve().parent)}}
    NotebookClient(notebook, timeout=_CELL_SECONDS, record_timing=False, resources=folder).execute()
    notebook.metadata["language_info"] = {"name": "python"}
    nbformat.write(notebook, target)


if __name__ == "__main__":
    execute(Path(sys.argv[1]), Path(sys.argv[-1]))
