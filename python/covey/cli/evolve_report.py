"""The answer of `covey evolve`: tables for people, the same as data."""

from __future__ import annotations

import math
from textwrap import wrap
from typing import Any

from covey.cli.output import TABLE_WIDTH, print_table, print_text
from covey.evolve import words
from covey.evolve.answer import Answer
from covey.evolve.forecast import Forecast
from covey.evolve.schedule import Choice
from covey.instants import instant_to_datetime


def print_report(answer: Answer) -> None:
    """Moves, stays, stability, and what else was asked for."""
    _say(words.basis(answer))
    for problem in answer.snapshots.problems:
        _say(f"Mind: {problem}.")
    print_text("")
    _print_moves(answer)
    print_text("")
    heads = ["state", "entered", "left again", "half stay less than"]
    step = answer.moves.step_days
    print_table(heads, [
        [own.name, f"{own.run_count:,}", f"{own.ended_count:,}", words.dwell_text(own, step)] for own in answer.dwell
    ])  # fmt: skip
    print_text("")
    print_table(
        ["snapshot", "in a cohort, also before", "same cohort", "Rand index"],
        [
            [own.name, f"{own.learner_count:,}", _percent(own.stay_share), _number(own.adjusted_rand_index)]
            for own in answer.stability
        ],
    )
    if answer.forecast is not None:
        print_text("")
        _print_forecast(answer.forecast)
    if answer.schedule is not None:
        print_text("")
        _print_schedule(answer.schedule, step)


def as_data(answer: Answer) -> dict[str, Any]:
    """Plain data: every number of the answer, but for the learners' own states (`--save`)."""
    found, moves = answer.snapshots, answer.moves
    states = found.states
    return {
        "learner_count": len(found.learner_ids),
        "model": found.model.value,
        "states": list(found.state_names),
        "step_days": moves.step_days,
        "away_after_days": found.away_after_days,
        "problems": list(found.problems),
        "snapshots": [
            {
                "as_of": instant_to_datetime(item.as_of_us).isoformat(),
                "learner_counts": [int((own == state).sum()) for state in _codes(answer)],
                "not_there_yet_count": int((own == -2).sum()),
            }
            for item, own in zip(found.items, states, strict=True)
        ],
        "transitions": {
            "confidence": moves.confidence,
            "simultaneous": True,
            "counts": moves.counts.tolist(),
            "shares": _plain(moves.shares),
            "low": _plain(moves.low),
            "high": _plain(moves.high),
            "learner_counts": moves.learner_counts.tolist(),
        },
        "dwell": [
            {
                "state": own.name,
                "entered_count": own.run_count,
                "left_count": own.ended_count,
                "half_days": _or_none(own.curve.quantile(0.5) * moves.step_days),
                "snapshots": own.curve.durations.tolist(),
                "share_still_there": own.curve.survival.tolist(),
                "low": own.curve.low.tolist(),
                "high": own.curve.high.tolist(),
            }
            for own in answer.dwell
        ],
        "stability": [
            {
                "snapshot": own.name,
                "learner_count": own.learner_count,
                "stay_share": _or_none(own.stay_share),
                "adjusted_rand_index": _or_none(own.adjusted_rand_index),
            }
            for own in answer.stability
        ],
        "forecast": None if answer.forecast is None else _forecast_data(answer.forecast),
        "schedule": None if answer.schedule is None else _schedule_data(answer.schedule),
    }


def _print_moves(answer: Answer) -> None:
    moves = answer.moves
    letters = [chr(ord("A") + place) for place in range(len(moves.names))]
    narrow = len(moves.names) > 4
    rows = []
    for place, name in enumerate(moves.names):
        cells = []
        for column in range(len(moves.names)):
            share = moves.shares[place, column]
            limits = f" ({100 * moves.low[place, column]:.0f}-{100 * moves.high[place, column]:.0f})"
            cells.append("." if math.isnan(share) else f"{100 * share:.0f}{'' if narrow else limits}")
        rows.append([f"{letters[place]} {name}", f"{moves.learner_counts[place]:,}", *cells])
    print_table([f"from, percent {moves.step_days:.0f} days later in", "learners", *letters], rows)
    print_text("")
    limits = "Limits (--output json)" if narrow else "Limits in brackets"
    _say(
        f"{limits} hold for all cells together at {100 * moves.confidence:g} % and allow for learners who differ "
        "(Wilson at the effective number of moves, Bonferroni over the cells)."
    )


def _print_forecast(found: Forecast) -> None:
    print_table(
        ["forecast of the next state", "right", "log loss", "Brier", "calibration error"],
        [
            [own.name, f"{100 * own.accuracy:.1f} %", _number(own.log_loss), _number(own.brier),
             _number(own.calibration_error)]
            for own in found.scores
        ],
    )  # fmt: skip
    print_text("")
    _say(words.forecast_text(found))


def _print_schedule(choice: Choice, step_days: float) -> None:
    rows = []
    for place, own in enumerate(choice.schedules):
        excess = "cheapest" if place == choice.chosen else f"{own.excess_low:+.3f} to {own.excess_high:+.3f}"
        rows.append([f"every {own.every_days:.0f} days", _percent(own.stale_share), f"{own.changes:.3f}",
                     f"{own.cost:.3f}", excess])  # fmt: skip
    print_table(["assign", "stale", "changes", "cost", "above the cheapest"], rows)
    print_text("")
    _say(words.schedule_text(choice, step_days))


def _forecast_data(found: Forecast) -> dict[str, Any]:
    return {
        "scores": [
            {
                "name": own.name,
                "accuracy": own.accuracy,
                "log_loss": _or_none(own.log_loss),
                "brier": own.brier,
                "calibration_error": own.calibration_error,
            }
            for own in found.scores
        ],
        "verdict": found.verdict,
        "gain": found.gain,
        "gain_low": found.gain_low,
        "gain_high": found.gain_high,
        "train_move_count": found.train_move_count,
        "test_move_count": found.test_move_count,
        "test_learner_count": found.test_learner_count,
        "temperature": found.temperature,
        "reliability": [list(row) for row in found.reliability],
    }


def _schedule_data(choice: Choice) -> dict[str, Any]:
    return {
        "chosen_every_days": choice.schedules[choice.chosen].every_days,
        "is_decided": choice.is_decided,
        "staleness_cost": choice.staleness_cost,
        "change_cost": choice.change_cost,
        "schedules": [
            {
                "every": own.every,
                "every_days": own.every_days,
                "stale_share": own.stale_share,
                "changes": own.changes,
                "cost": own.cost,
                "excess_low": own.excess_low,
                "excess_high": own.excess_high,
            }
            for own in choice.schedules
        ],
        "break_even": [_or_none(value) for value in choice.break_even],
        "taken_back_share": _or_none(choice.taken_back_share),
        "learner_count": choice.learner_count,
    }


def _codes(answer: Answer) -> list[int]:
    found = answer.snapshots
    return [*range(len(found.lane_names)), *([] if found.away_after_days is None else [-1])]


def _plain(values: Any) -> list[list[float | None]]:
    return [[_or_none(value) for value in row] for row in values.tolist()]


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _percent(value: float) -> str:
    return "." if math.isnan(value) else f"{100 * value:.1f} %"


def _number(value: float) -> str:
    return "." if math.isnan(value) else f"{value:.3f}"


def _say(text: str) -> None:
    print_text("\n".join(wrap(text, TABLE_WIDTH)))
