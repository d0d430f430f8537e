"""Asking a variant about a learner: its lane, its deadline and, for a rollout's candidate, the faults on purpose."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from covey_server.answering.lanes import EngineLane

if TYPE_CHECKING:
    from covey_server.answering.engines import Analysis, AnalyzerEngine, Engines
    from covey_server.answering.faults import Faults
    from covey_server.decoding import EventColumns


class VariantsAtWork:
    """Runs engine calls, each variant in a lane of its own.

    A rollout's candidate gets half of the threads, or its share of the learners where that is more: a candidate that
    hangs leaves room for the baseline, and one that serves everybody has every thread.

    Args:
        engines: of the variants.
        thread_count: threads that serve calls.
        faults: what goes wrong on purpose with a candidate; None: nothing.
        purpose: of the lanes, for messages; shadows have lanes of their own.
    """

    def __init__(self, engines: Engines, thread_count: int, faults: Faults | None = None, purpose: str = "") -> None:
        self._engines = engines
        self._thread_count = thread_count
        self._faults = faults
        self._purpose = purpose
        self._lock = threading.Lock()
        self._lanes: dict[str, EngineLane] = {}

    def at_once(self, variant: str, *, is_candidate: bool) -> AnalyzerEngine | None:
        """The engine of a variant whose plain questions need no lane: compiled work that no fault can hold up.

        None where a question is to take its lane.

        Raises:
            CallError: NOT_FOUND for an unknown variant.
        """
        if is_candidate and self._faults is not None:
            return None
        engine = self._engines.of(variant)
        return None if engine.online is None else engine

    def analyze(
        self,
        variant: str,
        events: EventColumns,
        as_of_us: int,
        *,
        is_candidate: bool,
        timeout_seconds: float,
        candidate_weight_bp: int = 0,
        submitted: float | None = None,
    ) -> Analysis:
        """What the variant finds.

        Args:
            variant: name of the variant.
            events: of the learner.
            as_of_us: the instant to look at, microseconds since the epoch.
            is_candidate: whether the variant is a rollout's candidate.
            timeout_seconds: how long to wait for its engine.
            candidate_weight_bp: the candidate's share of the learners, basis points.
            submitted: `time.monotonic()` when the caller asked, for faults; None: now.

        Raises:
            CallError: as `EngineLane.run` and `AnalyzerEngine.analyze`; NOT_FOUND for an unknown variant.
        """
        engine = self._engines.of(variant)

        def work() -> Analysis:
            if is_candidate and self._faults is not None:
                return self._faults.around(lambda: engine.analyze(events, as_of_us), submitted)
            return engine.analyze(events, as_of_us)

        limit = self._thread_count
        if is_candidate:
            limit = max(1, limit // 2, limit * candidate_weight_bp // 10_000)
        return self._lane(variant).run(work, timeout_seconds, limit)

    def stop(self) -> None:
        """End the idle threads."""
        with self._lock:
            for lane in self._lanes.values():
                lane.stop()

    def _lane(self, variant: str) -> EngineLane:
        lane = self._lanes.get(variant)
        if lane is None:
            with self._lock:
                lane = self._lanes.setdefault(variant, EngineLane(f"{self._purpose}{variant}", self._thread_count))
        return lane
