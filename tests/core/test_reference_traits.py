"""The reference engine against the definitions in plain Python: the oracle of the compiled core is itself tested."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey.parameters import TraitParameters
from covey.reference.traits import compute_traits

from .event_columns import columns_of
from .test_traits import AS_OF, DAY_US, assert_equal, histories_strategy, parameters_strategy
from .trait_oracle import Event, Parameters, traits_of


def reference_traits(events, as_of_us, parameters):
    return compute_traits(
        learner_index=events.learner_index,
        learner_count=events.learner_count,
        time=events.time_us,
        domain_index=events.domain_index,
        domain_count=events.domain_count,
        capability_index=events.capability_index,
        capability_count=events.capability_count,
        kind=events.kind,
        action_taken=events.action_taken,
        weight=events.weight,
        as_of_us=as_of_us,
        parameters=TraitParameters(**vars(parameters)),
    )


@settings(max_examples=150)
@given(histories_strategy(), parameters_strategy, st.sampled_from([AS_OF, AS_OF - 10 * DAY_US, -5 * DAY_US]))
def test_equal_to_the_definitions(histories: list[list[Event]], parameters: Parameters, as_of_us: int) -> None:
    columns = reference_traits(columns_of(histories), as_of_us, parameters)
    for row, history in enumerate(histories):
        assert_equal(columns, row, traits_of(history, as_of_us, parameters))
    everything = [event for history in histories for event in history]
    assert columns["ignored_event_count"] == sum(event.time_us > as_of_us for event in everything)


@settings(max_examples=50)
@given(histories_strategy(), st.randoms(use_true_random=False))
def test_the_order_of_rows_says_nothing(histories, random) -> None:
    events = columns_of(histories)
    rows = list(range(len(events.time_us)))
    random.shuffle(rows)
    one = reference_traits(events, AS_OF, Parameters())
    other = reference_traits(events.take(np.array(rows, dtype=np.intp)), AS_OF, Parameters())
    for name, column in one.items():
        assert column == pytest.approx(other[name], abs=1e-6), name
