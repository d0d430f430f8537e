"""`_core.Cancellation`: one flag that long calls look at."""

from __future__ import annotations

import time
from threading import Timer

import numpy as np
import pytest

from covey import _core


def test_it_is_set_once_and_stays() -> None:
    cancellation = _core.Cancellation()
    assert not cancellation.is_cancelled
    cancellation.cancel()
    cancellation.cancel()
    assert cancellation.is_cancelled


def test_cancelled_is_an_error_of_the_run_and_not_of_the_arguments() -> None:
    assert issubclass(_core.Cancelled, RuntimeError)
    assert not issubclass(_core.Cancelled, ValueError)


def test_a_trait_call_is_cancelled_from_another_thread_while_it_works() -> None:
    """Whatever it is doing then: the call at work, or the next one, ends with Cancelled."""
    generator = np.random.default_rng(2)
    size, learner_count = 3_000_000, 50_000
    columns = {
        "learner_index": generator.integers(0, learner_count, size).astype(np.int32),
        "learner_count": learner_count,
        "time": generator.integers(0, 10**13, size),
        "domain_index": generator.integers(0, 12, size).astype(np.uint8),
        "domain_count": 12,
        "capability_index": generator.integers(0, 100, size).astype(np.uint16),
        "capability_count": 100,
        "kind": None,
        "action_taken": None,
        "weight": None,
        "as_of_us": 10**13,
        "parameters": _core.TraitParameters(),
    }
    for threads in (1, 2):
        cancellation = _core.Cancellation()
        timer = Timer(0.02, cancellation.cancel)
        timer.start()
        with pytest.raises(_core.Cancelled):
            while True:
                begin = time.monotonic()
                _core.compute_traits(**columns, threads=threads, cancellation=cancellation)
        timer.join()
        assert time.monotonic() - begin < 5.0
