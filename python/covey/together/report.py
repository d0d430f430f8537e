"""A folder with a report on groups: report.md and its picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from covey.together import words
from covey.together.groups import Groups
from covey.together.pictures import groups_picture


def write_report(found: Groups, folder: Path) -> None:
    """Write report.md and groups.svg; the folder is made.

    Raises:
        OSError: the folder cannot be written.
    """
    import matplotlib as mpl

    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": "covey", "svg.fonttype": "path"}):
        groups_picture(found, "Study groups").savefig(folder / "groups.svg", metadata={"Date": None})
    (folder / "report.md").write_text(markdown(found), encoding="utf-8")


def markdown(found: Groups) -> str:
    """The text of the report; the picture is named beside it."""
    parts = [
        "# Study groups",
        words.basis(found),
        *(f"**Without a group:** {count:,} learners, as {why}." for why, count in found.left_out),
        "![Groups against chance](groups.svg)",
        _table(words.HEADS, words.rows(found.quality)),
        words.CHANCE.format(draws=found.quality.draw_count),
        "## Groups",
        _table(
            ["group", "learners", "all share"],
            [
                [str(number), f"{size:,}", pool]
                for number, (size, pool) in enumerate(zip(found.sizes, found.pools, strict=True))
            ],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
