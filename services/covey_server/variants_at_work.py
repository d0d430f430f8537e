"""Asking a variant about a learner: its lane, its deadline and, for a rollout's candidate, the faults on purpose."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from covey_server.lanes import EngineLane

if TYPE_CHECKING:
    from covey_server.decoding import EventColumns
    from covey_server.engines import Analysis, Engines
    from covey_server.faults import Faults


class VariantsAtWork:
    """Runs engine calls, each variant in a lane of its own.

    A rollout's candidate gets at most half of the threads, so that a candidate that hangs leaves room for the baseline.

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
        self._lanes: dict[tuple[str, bool], EngineLane] = {}

    def analyze(
        self, variant: str, events: EventColumns, as_of_us: int, *, is_candidate: bool, timeout_seconds: float
    ) -> Analysis:
        """What the variant finds.

        Raises:
            CallError: as `EngineLane.run` and `AnalyzerEngine.analyze`; NOT_FOUND for an unknown variant.
        """
        engine = self._engines.of(variant)

        def work() -> Analysis:
            if is_candidate and self._faults is not None:
                return self._faults.around(lambda: engine.analyze(events, as_of_us))
            return engine.analyze(events, as_of_us)

        return self._lane(variant, is_candidate).run(work, timeout_seconds)

    def stop(self) -> None:
        """End the idle threads."""
        with self._lock:
            for lane in self._lanes.values():
                lane.stop()

    def _lane(self, variant: str, is_candidate: bool) -> EngineLane:
        lane = self._lanes.get((variant, is_candidate))
        if lane is None:
            with self._lock:
                limit = max(1, self._thread_count // 2) if is_candidate else self._thread_count
                waiting_limit = max(0, self._thread_count - limit - 1)
                lane = self._lanes.setdefault(
                    (variant, is_candidate), EngineLane(f"{self._purpose}{variant}", limit, waiting_limit)
                )
        return lane
