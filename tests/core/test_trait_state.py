"""The compiled trait state refuses by name what does not fit, and changes nothing then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from covey import _core

NAMES = (np.array([0, 1, 2], np.int64), np.frombuffer(b"ab", np.uint8))
AS_OF = 10**12


def arguments(**changes: Any) -> dict[str, Any]:
    """Three events of two learners."""
    columns: dict[str, Any] = {
        "learner_ids": np.array([7, 8], np.int64),
        "learner_index": np.array([0, 1, 1], np.int32),
        "time": np.array([5, 6, 7], np.int64),
        "domain_index": np.array([0, 1, 1], np.uint8),
        "domain_names": NAMES,
        "capability_index": np.array([1, 0, 1], np.uint16),
        "capability_names": NAMES,
        "kind": None,
        "action_taken": None,
        "weight": np.array([1.0, 2.0, 0.0], np.float32),
    }
    return columns | changes


@pytest.mark.parametrize(
    ("name", "value", "error", "text"),
    [
        ("learner_index", np.array([0, 2, 1], np.int32), ValueError, r"learner_index\[1\] is 2"),
        ("learner_index", np.array([0, 1, 1], np.int64), TypeError, "learner_index must have dtype int32"),
        ("time", np.array([5, 6, 2**62], np.int64), ValueError, r"time\[2\] is "),
        ("domain_index", np.array([0, 1, 2], np.uint8), ValueError, r"domain_index\[2\] is 2"),
        ("capability_index", np.array([1, 0, -1], np.int32), ValueError, r"capability_index\[2\] is -1"),
        ("weight", np.array([1.0, np.nan, 0.0]), ValueError, r"weight\[1\] is nan"),
        ("weight", np.array([1.0, -1.0, 0.0], np.float32), ValueError, r"weight\[1\] is -1"),
        ("weight", np.ones(2), ValueError, "weight must have 3 elements"),
        ("learner_ids", np.array([7.0, 8.0]), TypeError, "learner_ids must have dtype int64 or uint64"),
        ("learner_ids", (np.array([0, 9], np.int64), NAMES[1]), ValueError, "offset"),
        ("domain_names", (np.array([0, 2, 1], np.int64), NAMES[1]), ValueError, "offset"),
        ("domain_names", (np.zeros(0, np.int64), NAMES[1]), ValueError, "at least one offset"),
    ],
)
def test_what_does_not_fit_changes_nothing(name: str, value: Any, error: type[Exception], text: str) -> None:
    state = _core.TraitState(_core.TraitParameters())
    state.update(**arguments())
    before = state.traits(state.learners(), AS_OF, state.parameters)
    with pytest.raises(error, match=text):
        state.update(**arguments(**{name: value}))
    assert state.event_count == 3
    after = state.traits(state.learners(), AS_OF, state.parameters)
    assert all(np.array_equal(before[column], after[column]) for column in before)


def test_grouped_rows_and_seconds_are_the_same_events() -> None:
    one, other = (_core.TraitState(_core.TraitParameters(day_start_seconds=60)) for _ in range(2))
    seconds = np.array([100_000, 0, 86_400], np.uint32)
    one.update(**arguments(time=seconds.astype(np.int64) * 1_000_000 - 77))
    grouped = arguments(learner_index=None, time=seconds)
    other.update(**grouped, learner_offsets=np.array([0, 1, 3], np.int64), time_origin_us=-77)
    assert one.newest_us == other.newest_us == 100_000 * 1_000_000 - 77
    found = [state.traits(state.learners(), AS_OF, state.parameters) for state in (one, other)]
    assert all(np.array_equal(found[0][column], found[1][column]) for column in found[0])
    for offsets in ([0, 1, 2], [0, 2, 1], [1, 1, 3]):
        with pytest.raises(ValueError, match="learner_offsets"):
            other.update(**grouped, learner_offsets=np.array(offsets, np.int64))
    with pytest.raises(TypeError, match="exactly one of learner_index and learner_offsets"):
        other.update(**arguments(), learner_offsets=np.array([0, 1, 3], np.int64))


@pytest.mark.parametrize(
    ("ask", "text"),
    [
        (lambda state: state.traits(np.array([2], np.int64), AS_OF, state.parameters), "2 is the number of no learner"),
        (lambda state: state.ids(np.array([-1], np.int64)), "-1 is the number of no learner"),
        (lambda state: state.traits(state.learners(), 6, state.parameters), "from its newest event on"),
        (lambda state: state.traits(state.learners(), 2**62, state.parameters), "as_of_us is"),
        (lambda _: _core.TraitState(_core.TraitParameters(velocity_alpha=0.0)), "velocity_alpha is"),
    ],
)
def test_questions_without_an_answer(ask: Callable[[_core.TraitState], Any], text: str) -> None:
    state = _core.TraitState(_core.TraitParameters())
    state.update(**arguments())
    with pytest.raises(ValueError, match=text):
        ask(state)


def test_numbers_are_found_and_given_again() -> None:
    state = _core.TraitState(_core.TraitParameters())
    state.update(**arguments())
    assert state.find(np.array([8, 9, 7], np.uint64)).tolist() == [1, -1, 0]
    assert state.forget(np.array([7], np.int64)) == 1
    assert state.learners().tolist() == [1]
    state.update(**arguments())
    assert sorted(state.ids(state.learners())) == [7, 8]
    assert state.byte_count > 0
