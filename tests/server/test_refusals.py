"""Which calls of a storm are read before they are refused, and what the log says of the rest."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from covey_server.answering.refusals import Allowance, StormCount


@given(st.lists(st.floats(0.0, 5.0), max_size=300), st.sampled_from([1.0, 7.5, 100.0]))
def test_never_more_than_a_seconds_worth_and_what_came_since(pauses: list[float], per_second: float) -> None:
    allowance, now, taken = Allowance(per_second), 1e6, 0
    for pause in pauses:
        now += pause
        taken += allowance.take(now)
        assert taken <= per_second * (1.0 + now - 1e6) + 1e-3


def test_a_steady_rate_within_it_is_never_refused_and_twice_the_rate_half_of_the_time() -> None:
    allowance = Allowance(100.0)
    assert all(allowance.take(number / 100.0) for number in range(1000))
    allowance = Allowance(100.0)
    taken = sum(allowance.take(number / 200.0) for number in range(2000))
    assert 1090 <= taken <= 1100, "a second's worth at once, and then as many as are let"


def test_a_storm_is_told_at_once_then_every_ten_seconds_and_at_its_end() -> None:
    storm, told = StormCount(), []
    for number in range(2500):
        storm.add()
        told.append(storm.to_tell(100.0 + number / 100.0))
    assert [count for count in told if count] == [1, 1000, 1000]
    assert storm.to_tell(129.9) == 0 and storm.count == 499
    assert storm.to_tell(130.0) == 499 and storm.rest() == 0
