"""A block of learners lives through some weeks: sessions, then events, then what each event touches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from covey.generate_kinds import draw_behaviours

DOMAIN_COUNT = 12
CAPABILITY_COUNT = 100
DOMAIN_OF_CAPABILITY = np.arange(CAPABILITY_COUNT) * DOMAIN_COUNT // CAPABILITY_COUNT

OTHER, TRAINING, WORKFLOW, FEEDBACK = range(4)
KIND_OF_EVENT = ("other", "training", "workflow", "feedback")

_DAY_US = 86_400_000_000
_MINUTE_US = 60_000_000
_SECOND_US = 1_000_000

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Behaviours = dict[str, Floats]


@dataclass(frozen=True, eq=False, slots=True)
class Block:
    """Events of learners 0 to n - 1 of a block, by learner and time.

    Attributes:
        kind: position in `KIND_NAMES` of each learner, shape (n,).
        learner: of each event, shape (m,).
        time_us: microseconds after the start, whole seconds, shape (m,).
        capability: in [0, CAPABILITY_COUNT), shape (m,).
        event_kind: position in `KIND_OF_EVENT`, shape (m,).
        action_taken: meaningful on feedback, shape (m,).
        weight: shape (m,).
    """

    kind: Ints
    learner: Ints
    time_us: Ints
    capability: Ints
    event_kind: NDArray[np.int8]
    action_taken: NDArray[np.bool_]
    weight: NDArray[np.float32]


def simulate_block(random: np.random.Generator, learner_count: int, weeks: int, noise: float) -> Block:
    """Let `learner_count` learners behave for `weeks` weeks."""
    kind, behaviours = draw_behaviours(random, learner_count, noise)
    session_learner, session_start = _sessions(random, behaviours, learner_count, weeks)
    learner, time_us = _events(random, behaviours, session_learner, session_start)
    is_new, capability = _capabilities(random, behaviours, learner, learner_count)
    event_kind, action_taken = _kinds_of_event(random, behaviours, learner, is_new)
    weight = (1 + random.poisson(1.5, len(learner))).astype(np.float32)
    return Block(kind, learner, time_us, capability, event_kind, action_taken, weight)


def _sessions(random: np.random.Generator, behaviours: Behaviours, learner_count: int, weeks: int) -> tuple[Ints, Ints]:
    """Learner and start of every session; everyone has one at least."""
    active = random.random((learner_count, weeks)) < behaviours["active_week_chance"][:, None]
    fade = np.exp(-behaviours["weekly_fade"][:, None] * np.arange(weeks))
    count = random.poisson(behaviours["sessions_per_week"][:, None] * fade * active)
    first_week = random.integers(0, weeks, learner_count)
    idle = count.sum(axis=1) == 0
    count[idle, first_week[idle]] = 1
    cell = np.repeat(np.arange(learner_count * weeks), count.ravel())
    learner, week = cell // weeks, cell % weeks

    weekend = behaviours["weekend_pull"][learner]
    spot = random.random(len(learner)) * (5.0 + 2.0 * weekend)
    day = np.where(spot < 5.0, spot, 5.0 + (spot - 5.0) / weekend).astype(np.int64).clip(0, 6)
    usual_hour = random.normal(14.0, 3.0, learner_count)
    hour = (usual_hour[learner] + random.normal(0.0, 1.5, len(learner))).clip(0.0, 22.0)
    start = (week * 7 + day) * _DAY_US + (hour * 60 * _MINUTE_US).astype(np.int64)
    return learner, start


def _events(
    random: np.random.Generator, behaviours: Behaviours, session_learner: Ints, session_start: Ints
) -> tuple[Ints, Ints]:
    """Learner and time of every event, by learner and time; an event comes some minutes after the one before.

    Times are whole seconds, as most logs have them.
    """
    count = 1 + random.poisson(behaviours["events_per_session"][session_learner] - 1.0)
    session = np.repeat(np.arange(len(count)), count)
    number = np.arange(len(session)) - np.repeat(np.cumsum(count) - count, count)
    pause = random.integers(0, 3 * _MINUTE_US, len(session))
    time_us = session_start[session] + number * 4 * _MINUTE_US + pause
    time_us -= time_us % _SECOND_US
    learner = session_learner[session]
    order = np.lexsort((time_us, learner))
    return learner[order], time_us[order]


def _capabilities(
    random: np.random.Generator, behaviours: Behaviours, learner: Ints, learner_count: int
) -> tuple[NDArray[np.bool_], Ints]:
    """Whether each event uses a capability never used before, and which capability it uses."""
    first_row = np.searchsorted(learner, np.arange(learner_count))
    is_new = random.random(len(learner)) < behaviours["curiosity"][learner]
    is_new[first_row] = True
    running = np.cumsum(is_new)
    known = running - (running[first_row] - 1)[learner]
    is_new &= known <= CAPABILITY_COUNT
    known = np.minimum(known, CAPABILITY_COUNT)

    attraction = _attraction(random, behaviours, learner_count)
    order_of_discovery = np.argsort(attraction, axis=1)
    back = (known * random.random(len(learner)) ** behaviours["recent_pull"][learner]).astype(np.int64)
    position = np.where(is_new, known - 1, (known - 1 - back).clip(0))
    return is_new, order_of_discovery[learner, position]


def _attraction(random: np.random.Generator, behaviours: Behaviours, learner_count: int) -> Floats:
    """Gumbel keys, shape (learners, capabilities): ascending order is a draw without replacement by attraction."""
    favourite = np.argsort(random.random((learner_count, DOMAIN_COUNT)), axis=1)
    narrowness = behaviours["domain_narrowness"][:, None]
    penalty = (favourite * narrowness)[:, DOMAIN_OF_CAPABILITY]
    gumbel = np.log(random.standard_exponential((learner_count, CAPABILITY_COUNT)))
    keys: Floats = gumbel + penalty
    return keys


def _kinds_of_event(
    random: np.random.Generator, behaviours: Behaviours, learner: Ints, is_new: NDArray[np.bool_]
) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """New capabilities are mostly trained, known ones mostly worked with; some events are feedback."""
    chance = random.random(len(learner))
    event_kind = np.where(is_new, TRAINING, WORKFLOW)
    event_kind = np.where(chance < 0.2, np.where(is_new, WORKFLOW, TRAINING), event_kind)
    event_kind = np.where(chance > 0.95, OTHER, event_kind)
    is_feedback = random.random(len(learner)) < behaviours["feedback_chance"][learner]
    event_kind = np.where(is_feedback, FEEDBACK, event_kind).astype(np.int8)
    action_taken = random.random(len(learner)) < behaviours["answer_chance"][learner]
    return event_kind, action_taken & is_feedback
