"""Whether a playbook helps: those held out against those treated, as they were drawn, whatever reached them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from covey import _core
from covey.churn.definition import DAY_US
from covey.churn.features import History
from covey.errors import InputError
from covey.experiment import DecideBy, Design, ExperimentResult, Outcome, OutcomeKind, analyze
from covey.interventions.planning import HELD_OUT, TREATED, Enrolment
from covey.interventions.playbook import Playbook

if TYPE_CHECKING:
    from covey.events import Events


@dataclass(frozen=True, eq=False, slots=True)
class Effect:
    """What came of it.

    Attributes:
        result: the experiment, held_out against treated; its outcome is the share who came back.
        open_count: learners whose days are not over, who are left out.
    """

    result: ExperimentResult
    open_count: int


def came_back(enrolments: Sequence[Enrolment], events: Events, days: int) -> list[bool | None]:
    """Whether each learner had an event within so many days of being chosen; None where those are not over."""
    history = History.of(events)
    place = {text: number for number, text in enumerate(events.learner_ids.texts())}
    until = events.newest_us
    next_us = {
        instant: _core.next_events(history.offsets, history.time_us, instant)
        for instant in {own.as_of_us for own in enrolments}
    }
    found: list[bool | None] = []
    for own in enrolments:
        if own.as_of_us + days * DAY_US > until:
            found.append(None)
            continue
        at = place.get(own.learner_id)
        found.append(at is not None and bool(next_us[own.as_of_us][at] < own.as_of_us + days * DAY_US))
    return found


def measure_effect(
    playbook: Playbook,
    enrolments: Sequence[Enrolment],
    outcomes: Sequence[bool | None],
    alpha: float = 0.05,
    decide_by: DecideBy = DecideBy.always_valid,
) -> Effect:
    """Compare the arms as they were drawn (intention to treat): who came back.

    The probability at the choice, taken before anything was done, adjusts the difference (CUPED). The reading that
    decides holds however often it is looked at.

    Args:
        playbook: gives the planned split.
        enrolments: learners in both arms.
        outcomes: one per enrolment; None: not known yet.
        alpha: chance of a false call.
        decide_by: which reading decides.

    Raises:
        InputError: nobody was held out, or nobody's days are over.
    """
    asked = Outcome("came back", OutcomeKind.proportion, "outcome", covariate="probability")
    return _measured(playbook, enrolments, outcomes, asked, alpha, decide_by)


def measure_active_days(
    playbook: Playbook, enrolments: Sequence[Enrolment], counts: Sequence[int | None], alpha: float = 0.05
) -> Effect:
    """Compare the arms by days with an event: it says more than who came back, and decides nothing.

    Args:
        playbook: gives the planned split.
        enrolments: learners in both arms.
        counts: days with an event within the playbook's days; None: they are not over.
        alpha: chance of a false call.

    Raises:
        InputError: as `measure_effect`.
    """
    asked = Outcome("active days", OutcomeKind.mean, "outcome", covariate="probability")
    return _measured(playbook, enrolments, counts, asked, alpha, DecideBy.always_valid)


def _measured(
    playbook: Playbook, enrolments: Sequence[Enrolment], outcomes: Sequence[bool | int | None], asked: Outcome,
    alpha: float, decide_by: DecideBy,
) -> Effect:  # fmt: skip
    if playbook.holdout_share == 0:
        raise InputError(
            f"playbook '{playbook.name}' holds nobody out: what would have happened without it cannot be known",
            remedy="use a playbook with a holdout_share above 0",
        )
    known = [(own, int(outcome)) for own, outcome in zip(enrolments, outcomes, strict=True) if outcome is not None]
    arms = {own.arm for own, _ in known}
    if arms != {HELD_OUT, TREATED}:
        missing = " and ".join(sorted({HELD_OUT, TREATED} - arms))
        raise InputError(
            f"of the {len(enrolments):,} learners chosen nobody {missing} has had {playbook.outcome_days} days yet",
            remedy="wait, or bring newer events",
        )
    table = {
        "unit": [own.learner_id for own, _ in known],
        "variant": [own.arm for own, _ in known],
        "outcome": np.array([outcome for _, outcome in known], dtype=np.int64),
        "probability": np.array([own.probability for own, _ in known], dtype=np.float64),
    }
    design = Design(
        (asked,),
        control=HELD_OUT,
        planned_shares={HELD_OUT: playbook.holdout_share, TREATED: 1.0 - playbook.holdout_share},
        alpha=alpha,
        decide_by=decide_by,
    )
    return Effect(analyze(table, design), len(enrolments) - len(known))
