"""`_core.Cancellation`: one flag that long calls look at."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from threading import Thread, Timer
from typing import Any

import numpy as np
import pytest
from findings import Finding

from covey import _core

pytestmark = pytest.mark.quiet


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
    columns = log_of_events(3_000_000, 50_000)
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


MOMENTS = int(os.environ.get("COVEY_FAULTS_CANCELS") or "40") // 5
"""In each of five kinds of work; COVEY_FAULTS_CANCELS=1000 for the figure of docs/reliability.md."""
MOST_SECONDS_AFTER = 0.05


def log_of_events(size: int, learner_count: int) -> dict[str, Any]:
    """Arguments of compute_traits: rows in no order of learners."""
    generator = np.random.default_rng(2)
    return {
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


def traits_of_a_log() -> Callable[[Any], Any]:
    columns = log_of_events(3_000_000, 50_000)
    return lambda cancellation: _core.compute_traits(**columns, cancellation=cancellation)


def traits_of_one_learner_with_weights() -> Callable[[Any], Any]:
    columns = log_of_events(2_000_000, 1) | {"weight": np.full(2_000_000, 1.5)}
    return lambda cancellation: _core.compute_traits(**columns, cancellation=cancellation)


def clusters() -> Callable[[Any], Any]:
    points = np.random.default_rng(3).random((5, 300_000), np.float32)
    initial = np.ascontiguousarray(points[:, :12].T)
    return lambda cancellation: _core.kmeans(points, initial, max_iterations=100, cancellation=cancellation)


def silhouettes_of_a_sample() -> Callable[[Any], Any]:
    generator = np.random.default_rng(4)
    points = generator.random((5, 30_000), np.float32)
    labels = generator.integers(0, 12, 30_000).astype(np.int32)
    return lambda cancellation: _core.silhouette(points, labels, 12, cancellation=cancellation)


def splits() -> Callable[[Any], Any]:
    generator = np.random.default_rng(5)
    hashes = _core.hash_integers(np.arange(100_000))
    metrics = [generator.random(100_000) for _ in range(5)]
    return lambda cancellation: _core.rerandomise(hashes, metrics, 1, 5000, 5000, cancellation=cancellation)


@pytest.mark.parametrize(
    "make", [traits_of_a_log, traits_of_one_learner_with_weights, clusters, silhouettes_of_a_sample, splits]
)
def test_cancelled_at_any_moment_a_call_soon_frees_its_core(
    make: Callable[[], Callable[[Any], Any]], finding: Finding
) -> None:
    """Processor time from the flag to the end of the call, which a crowded machine does not change."""
    work = make()
    whole = processor_seconds(work)
    assert whole > MOST_SECONDS_AFTER, f"{whole} s: work that is over sooner shows nothing"
    latest = sorted(freed_after(work, whole, moment) for moment in range(MOMENTS))
    middle, most = (1e3 * latest[place] for place in (MOMENTS // 2, -1))
    finding(f"{make.__name__}: {MOMENTS} cancels, freed after {middle:.1f} ms (median), {most:.1f} ms at most")
    assert latest[-1] < MOST_SECONDS_AFTER, f"{make.__name__}: {latest} of {whole}"


def test_work_that_looks_at_no_flag_keeps_its_core() -> None:
    """The twin."""
    work = clusters()

    def deaf(cancellation: Any) -> None:
        work(None)
        work(cancellation)

    assert freed_after(deaf, processor_seconds(work), 0) > MOST_SECONDS_AFTER


def processor_seconds(work: Callable[[Any], Any]) -> float:
    """Of the work when nobody cancels it."""
    begin = time.thread_time()
    work(None)
    return time.thread_time() - begin


def freed_after(work: Callable[[Any], Any], whole: float, moment: int) -> float:
    """Processor time from the flag, set at one of `MOMENTS` of the work, to the end of the call."""
    cancellation = _core.Cancellation()
    ended: list[float] = []

    def compute() -> None:
        try:
            while True:
                work(cancellation)
        except _core.Cancelled:
            ended.append(time.thread_time())

    thread = Thread(target=compute)
    thread.start()
    assert thread.ident is not None
    clock = time.pthread_getcpuclockid(thread.ident)
    while time.clock_gettime(clock) < whole * (moment + 0.5) / MOMENTS:
        time.sleep(0.0005)
    cancellation.cancel()
    cancelled_at = time.clock_gettime(clock) if thread.is_alive() else float("inf")
    thread.join()
    return ended[0] - cancelled_at
