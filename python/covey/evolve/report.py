"""A folder with a report: report.md and its pictures."""

from __future__ import annotations

import math
from pathlib import Path

from covey.evolve import pictures, words
from covey.evolve.answer import Answer
from covey.report_folder import markdown_table, write_folder


def write_report(answer: Answer, folder: Path) -> None:
    """Write report.md, flows.svg, moves.svg and, with a forecast, reliability.svg; the folder is made.

    Raises:
        OSError: the folder cannot be written.
    """
    drawn = {"flows.svg": pictures.flows(answer.snapshots, "Where learners go")}
    drawn["moves.svg"] = pictures.matrix(answer.moves, f"Moves in {answer.moves.step_days:.0f} days")
    if answer.forecast is not None:
        drawn["reliability.svg"] = pictures.reliability(answer.forecast, "Is it as sure as it is right?")
    write_folder(folder, markdown(answer), drawn)


def markdown(answer: Answer) -> str:
    """The text of the report; pictures are named beside it."""
    found, moves = answer.snapshots, answer.moves
    parts = [
        "# How learners move",
        words.basis(answer),
        *(f"**Mind:** {problem}." for problem in found.problems),
        "![Flows of learners between cohorts](flows.svg)",
        "## Moves",
        markdown_table(
            ["from", "learners", *moves.names],
            [
                [name, f"{count:,}", *(_cell(answer, row, column) for column in range(len(moves.names)))]
                for row, (name, count) in enumerate(zip(moves.names, moves.learner_counts, strict=True))
            ],
        ),
        f"Percent of the moves out of a state; the limits hold for all cells together at {100 * moves.confidence:g} % "
        "and allow for learners who differ. They do not allow for weeks that differ for everybody.",
        "![The matrix of moves](moves.svg)",
        "## Stays",
        markdown_table(
            ["state", "entered", "left again", "half stay less than"],
            [
                [d.name, f"{d.run_count:,}", f"{d.ended_count:,}", words.dwell_text(d, moves.step_days)]
                for d in answer.dwell
            ],
        ),
        "A learner's first stay in each state, begun after the first snapshot; Kaplan-Meier.",
        "## Stability",
        markdown_table(
            ["snapshot", "learners", "same cohort as before", "adjusted Rand index"],
            [
                [s.name, f"{s.learner_count:,}", _percent(s.stay_share), f"{s.adjusted_rand_index:.3f}"]
                for s in answer.stability
            ],
        ),
    ]
    if answer.forecast is not None:
        parts += ["## What comes next", words.forecast_text(answer.forecast), "![Reliability](reliability.svg)"]
        parts.append(
            markdown_table(
                ["way", "right", "log loss", "Brier score", "calibration error"],
                [
                    [s.name, _percent(s.accuracy), f"{s.log_loss:.3f}", f"{s.brier:.3f}", f"{s.calibration_error:.3f}"]
                    for s in answer.forecast.scores
                ],
            )
        )
    if answer.schedule is not None:
        parts += ["## How often to assign anew", words.schedule_text(answer.schedule, moves.step_days)]
        parts.append(
            markdown_table(
                ["every", "stale labels", "changes per learner and snapshot", "cost", "above the cheapest"],
                [
                    [f"{s.every_days:.0f} days", _percent(s.stale_share), f"{s.changes:.3f}", f"{s.cost:.3f}",
                     "" if place == answer.schedule.chosen else f"{s.excess_low:+.3f} to {s.excess_high:+.3f}"]
                    for place, s in enumerate(answer.schedule.schedules)
                ],
            )
        )  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _cell(answer: Answer, row: int, column: int) -> str:
    moves = answer.moves
    share = moves.shares[row, column]
    if math.isnan(share):
        return ""
    return f"{100 * share:.1f} ({100 * moves.low[row, column]:.1f} to {100 * moves.high[row, column]:.1f})"


def _percent(value: float) -> str:
    return "" if math.isnan(value) else f"{100 * value:.1f} %"
