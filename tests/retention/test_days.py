"""Where days begin, to the microsecond, however far back: the vectors' arithmetic against that of whole numbers."""

from __future__ import annotations

import numpy as np
import pytest

from covey import _core

DAY_US = 86_400_000_000


@pytest.mark.parametrize(
    ("as_of_us", "earliest_us"),
    [(0, -(1 << 61)), ((1 << 61) - 1, -(1 << 61) + 5), (1_767_571_200_123_456, 0), (12_345, -(10**15))],
)
def test_days_begin_where_whole_numbers_say(as_of_us: int, earliest_us: int) -> None:
    random = np.random.default_rng(1)
    begins = (as_of_us // DAY_US - random.integers(0, (as_of_us - earliest_us) // DAY_US, 20_000)) * DAY_US
    time_us = np.concatenate([begins + near for near in (-2, -1, 0, 1, 2)])
    time_us = time_us[(time_us <= as_of_us) & (time_us >= earliest_us)]
    learner = np.arange(len(time_us), dtype=np.int32)
    found = _core.days_of_activity(learner, len(learner), time_us, as_of_us, 1, 0, 1)
    day = time_us // DAY_US
    assert len(day) > 50_000
    np.testing.assert_array_equal(found["first_day"], day)
    np.testing.assert_array_equal(found["last_day"], day)
    np.testing.assert_array_equal(found["active"].ravel(), 1)
