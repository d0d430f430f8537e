"""A folder with a report on groups: report.md and its picture."""

from __future__ import annotations

from pathlib import Path

from covey.report_folder import markdown_table, write_folder
from covey.together import words
from covey.together.groups import Groups
from covey.together.pictures import groups_picture


def write_report(found: Groups, folder: Path) -> None:
    """Write report.md and groups.svg; the folder is made.

    Raises:
        OSError: the folder cannot be written.
    """
    write_folder(folder, markdown(found), {"groups.svg": groups_picture(found, "Study groups")})


def markdown(found: Groups) -> str:
    """The text of the report; the picture is named beside it."""
    parts = [
        "# Study groups",
        words.basis(found),
        *(f"**Without a group:** {count:,} learners, as {why}." for why, count in found.left_out),
        "![Groups against chance](groups.svg)",
        markdown_table(words.HEADS, words.rows(found.quality)),
        words.CHANCE.format(draws=found.quality.draw_count),
        "## Groups",
        markdown_table(
            ["group", "learners", "all share"],
            [
                [str(number), f"{size:,}", pool]
                for number, (size, pool) in enumerate(zip(found.sizes, found.pools, strict=True))
            ],
        ),
    ]
    return "\n\n".join(parts) + "\n"
