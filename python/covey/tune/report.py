"""A folder with a report on tuning: report.md and its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from covey.report_folder import markdown_table, write_folder
from covey.tune import pictures, words
from covey.tune.search import Tuned
from covey.tune.segments import SegmentTuned


def write_report(found: Tuned, segments: Sequence[SegmentTuned] | None, folder: Path, name: str) -> None:
    """Write report.md, gain.svg and search.svg; the folder is made.

    Args:
        found: for everybody.
        segments: where they were tried.
        folder: where to.
        name: of the data.

    Raises:
        OSError: the folder cannot be written.
    """
    goal = found.problem.goal
    drawn = {
        "gain.svg": pictures.gain_picture(found, segments, f"{name}: tuned for {goal}, on learners held out"),
        "search.svg": pictures.search_picture(found, f"{name}: {goal} of {len(found.tried)} configurations"),
    }
    write_folder(folder, markdown(found, segments, name), drawn)


def markdown(found: Tuned, segments: Sequence[SegmentTuned] | None, name: str) -> str:
    """The text of the report; pictures are named beside it."""
    gain, unit = found.gain, found.problem.unit
    folds = zip(gain.default, gain.tuned, found.chosen, strict=True)
    parts = [
        f"# Tuned for {found.problem.goal}: {name}",
        words.verdict(found),
        "![What tuning brought on learners held out](gain.svg)",
        markdown_table(words.CONSTANT_HEADS, words.constant_rows(found)),
        "## Each fold",
        markdown_table(
            ["fold", f"{unit} by default", "tuned", "gain", "cohorts"],
            [
                [str(number), f"{before:.4f}", f"{after:.4f}", f"{after - before:+.4f}", str(own.k)]
                for number, (before, after, own) in enumerate(folds, start=1)
            ],
        ),
        "Each fold searched among its own training learners; where what they chose differs much, the data do not say "
        "which is best.",
        "## The search",
        f"{len(found.tried)} configurations by inner folds of all learners. The best of many tries is too good by luck:"
        " no figure of this picture is promised.",
        "![The objective along each constant](search.svg)",
    ]
    if segments is not None:
        parts += ["## Segments", markdown_table(words.SEGMENT_HEADS, words.segment_rows(segments))]
        parts.append(
            f"Gains of constants of a segment's own over everybody's, on held-out learners of the segment; limits are "
            f"each segment's alone ({100 * gain.confidence:g} %), p is corrected for all that were tried (Holm)."
        )
    return "\n\n".join(parts) + "\n"
