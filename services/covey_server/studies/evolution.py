"""GetEvolution: the request as arguments of the library, its answer as a message."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from covey.evolve import dwell_times, instants_between, snapshots, stability, transitions
from covey.evolve.schedule import Choice, choose_schedule
from covey.evolve.snapshots import DEFAULT_AWAY_AFTER_DAYS, Model
from covey.v1 import evolution_pb2
from covey_server.errors import invalid
from covey_server.studies.fields import confidence_of, instant_of, k_of, or_default, seed_of

if TYPE_CHECKING:
    from covey.events import Events
    from covey.evolve import Dwell, Snapshots, Stability, Transitions

_DEFAULT_EVERY_DAYS = 28


def get_evolution(
    request: evolution_pb2.GetEvolutionRequest, events: Callable[[], Events], threads: int
) -> evolution_pb2.GetEvolutionResponse:
    """Follow the learners and answer.

    Args:
        request: what is asked.
        events: loads them, once the request is known to be sound.
        threads: at most so many.

    Raises:
        CallError: INVALID_ARGUMENT for a field out of range.
        InputError: the request does not fit the events.
    """
    k, confidence, seed = k_of(request), confidence_of(request), seed_of(request.seed)
    every_days = or_default(request.every_days, _DEFAULT_EVERY_DAYS, "every_days")
    away_after_days = or_default(request.away_after_days, DEFAULT_AWAY_AFTER_DAYS, "away_after_days")
    first_us = instant_of(request.first_time, "first_time", request.HasField("first_time"))
    last_us = instant_of(request.last_time, "last_time", request.HasField("last_time"))
    for field in ("staleness_cost", "change_cost"):
        cost = getattr(request, field)
        if not (math.isfinite(cost) and cost >= 0):
            raise invalid(field, f"{cost:g} is not 0 or more")
    given = events()
    first_us = int(given.time_us.min()) if first_us is None else first_us
    found = snapshots(
        given,
        instants_between(first_us, given.newest_us if last_us is None else last_us, every_days),
        k=k,
        model=Model.refit if request.refit else Model.fixed,
        seed=seed,
        away_after_days=away_after_days,
        threads=threads,
    )
    choice = None
    if request.schedule_periods:
        choice = choose_schedule(
            found, request.schedule_periods, request.staleness_cost or 1.0, request.change_cost or 1.0, confidence
        )
    message = _message(found, transitions(found, confidence), dwell_times(found, confidence), stability(found))
    if choice is not None:
        _add_schedules(message, choice)
    return message


def _message(
    found: Snapshots, moves: Transitions, dwells: tuple[Dwell, ...], stabilities: tuple[Stability, ...]
) -> evolution_pb2.GetEvolutionResponse:
    message = evolution_pb2.GetEvolutionResponse(
        learner_count=len(found.learner_ids), states=found.state_names, problems=found.problems
    )
    codes = [*range(len(found.lane_names)), *([] if found.away_after_days is None else [-1])]
    for item in found.items:
        snapshot = message.snapshots.add(
            learner_counts=[int((item.states == code).sum()) for code in codes],
            not_there_yet_count=int((item.states == -2).sum()),
        )
        snapshot.as_of.FromMicroseconds(item.as_of_us)
    for row, before in enumerate(moves.names):
        for column, after in enumerate(moves.names):
            message.transitions.add(
                from_state=before,
                to_state=after,
                move_count=int(moves.counts[row, column]),
                share=_known(float(moves.shares[row, column])),
                low=float(moves.low[row, column]),
                high=float(moves.high[row, column]),
            )
    for dwell in dwells:
        message.dwells.add(
            state=dwell.name,
            entered_count=dwell.run_count,
            left_count=dwell.ended_count,
            half_days=_known(dwell.curve.quantile(0.5) * moves.step_days),
        )
    for item, own in zip(found.items[1:], stabilities, strict=True):
        stable = message.stabilities.add(
            learner_count=own.learner_count,
            stay_share=_known(own.stay_share),
            adjusted_rand_index=_known(own.adjusted_rand_index),
        )
        stable.as_of.FromMicroseconds(item.as_of_us)
    return message


def _add_schedules(message: evolution_pb2.GetEvolutionResponse, choice: Choice) -> None:
    message.is_schedule_decided = choice.is_decided
    for number, own in enumerate(choice.schedules):
        message.schedules.add(
            every_days=own.every_days,
            stale_share=own.stale_share,
            change_rate=own.changes,
            cost=own.cost,
            excess_low=own.excess_low,
            excess_high=own.excess_high,
            is_cheapest=number == choice.chosen,
        )


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
