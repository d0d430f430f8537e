"""What reports in a folder have in common: tables of Markdown, and pictures that come again with the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_folder(folder: Path, markdown: str, pictures: Mapping[str, Figure]) -> None:
    """Write report.md and its pictures, by file name; the folder is made.

    Raises:
        OSError: the folder cannot be written.
    """
    import matplotlib as mpl

    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": "covey", "svg.fonttype": "path"}):
        for name, figure in pictures.items():
            figure.savefig(folder / name, metadata={"Date": None})
    (folder / "report.md").write_text(markdown, encoding="utf-8")
