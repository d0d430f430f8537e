"""Effects in the units of the business: money per learner, learners of the population. The interval comes along."""

from __future__ import annotations

from covey.experiment.design import Outcome, OutcomeKind
from covey.experiment.results import BusinessLine, Reading


def business_lines(outcome: Outcome, effect: float, reading: Reading, population: int) -> tuple[BusinessLine, ...]:
    """The translation of a difference; empty for what is neither money nor people.

    Args:
        outcome: which; `worth` makes a mean money, a proportion counts learners.
        effect: the difference.
        reading: the deciding one, whose interval is carried through.
        population: learners it is translated to.
    """
    lines = []
    if outcome.worth is not None and outcome.kind in {OutcomeKind.mean, OutcomeKind.proportion, OutcomeKind.formula}:
        currency = outcome.currency or "money"
        lines.append(_line(f"{currency} per learner", effect, reading, outcome.worth))
        lines.append(_line(f"{currency} for {population:,} learners", effect, reading, outcome.worth * population))
    if outcome.kind is OutcomeKind.proportion:
        lines.append(_line(f"learners of {population:,} ({outcome.name})", effect, reading, population))
    if outcome.kind is OutcomeKind.time_to_event and outcome.horizon is not None:
        what = f"learners of {population:,} kept at {outcome.horizon:g} ({outcome.name})"
        lines.append(_line(what, effect, reading, population))
    return tuple(lines)


def _line(what: str, effect: float, reading: Reading, factor: float) -> BusinessLine:
    if reading.low is None or reading.high is None:
        return BusinessLine(what, effect * factor, None, None)
    low, high = sorted((reading.low * factor, reading.high * factor))
    return BusinessLine(what, effect * factor, low, high)
