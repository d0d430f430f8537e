"""Random events in random pieces and orders: the state of all pieces has the traits of the whole, by both engines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from covey import Events, TraitParameters, TraitState
from covey.engine import ENGINE_NAMES
from covey.parameters import FURTHER_NAMES, TRAIT_NAMES

DAY_US = 86_400_000_000
LATER_US = (0, 1, 3 * DAY_US, 40 * 365 * DAY_US)


@dataclass(frozen=True)
class Row:
    learner: str
    time_us: int
    domain: str | None
    capability: str | None
    kind: int
    acted: bool
    weight: float


def near_midnight():
    return st.builds(lambda day, offset: day * DAY_US + offset, st.integers(-60, 60), st.integers(-1, 1))


def rows(weights):
    return st.builds(
        Row,
        learner=st.sampled_from(["1", "2", "a"]),
        time_us=near_midnight() | st.integers(-30 * DAY_US, 30 * DAY_US) | st.integers(-(2**55), 2**55),
        domain=st.sampled_from([None, "", "p", "q"]),
        capability=st.none() | st.integers(0, 9).map(str),
        kind=st.integers(0, 4),
        acted=st.booleans(),
        weight=weights,
    )


def histories():
    """Ordinary weights, and weights as far apart as doubles are."""
    far_apart = st.sampled_from([0.0, 1.0, 1e-300, 1e300, 1.7e308, 5e-324])
    return st.lists(rows(st.just(1.0)), min_size=1, max_size=80) | st.lists(
        rows(st.floats(0, 1e6) | far_apart), min_size=1, max_size=60
    )


def parameters():
    return st.builds(
        TraitParameters,
        velocity_alpha=st.floats(0.01, 1),
        velocity_kappa=st.floats(0.1, 10),
        affinity_entropy_penalty=st.floats(0, 1),
        frequency_window_days=st.integers(1, 400),
        feedback_prior_acted=st.floats(0.1, 5),
        retention_decay_per_day=st.sampled_from([0.0, 0.05, 3.0]) | st.floats(0, 1),
        day_start_seconds=st.integers(-86_399, 86_399),
    )


def events_of(history: list[Row]) -> Events:
    columns = {
        "learner_id": pa.array([row.learner for row in history]),
        "time": np.array([row.time_us for row in history]),
        "domain": pa.array([row.domain for row in history], pa.string()),
        "capability": pa.array([row.capability for row in history], pa.string()),
        "kind": np.array([row.kind for row in history]),
        "action_taken": np.array([row.acted for row in history]),
        "weight": np.array([row.weight for row in history]),
    }
    return Events.from_numpy(**columns, time_unit="us")


@settings(max_examples=80)
@given(st.data())
def test_pieces_are_the_whole(data):
    history = data.draw(histories())
    history = history + history[: data.draw(st.integers(0, 5))]  # exact duplicates are real
    chosen = data.draw(parameters())
    state = TraitState(chosen)
    rest = data.draw(st.permutations(history)) if data.draw(st.booleans()) else history
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        state.update(events_of(rest[:size]))
        rest = rest[size:]
        if data.draw(st.integers(0, 3)) == 0:
            written: list[bytes] = []
            state._core.save(written.append)
            state = TraitState.load(b"".join(written))
    whole = events_of(history)
    for later_us in LATER_US:
        one = state.traits(whole.newest_us + later_us)
        for engine in ENGINE_NAMES:
            other = whole.traits(whole.newest_us + later_us, chosen, engine)
            assert one.learner_ids.texts() == other.learner_ids.texts()
            for name in TRAIT_NAMES + FURTHER_NAMES:
                np.testing.assert_allclose(one[name], other[name], rtol=0, atol=1e-6, err_msg=f"{name} ({engine})")
