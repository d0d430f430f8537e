"""Shadow: for a share of the answers the other variant works on the same input, in the background (DESIGN 7).

A fast wrong answer must not pass, so this runs at 0 % traffic too. It never holds up a caller: the queue is bounded,
what does not fit is dropped (and counted as such), and the one thread gives way while calls wait for the pool.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, Full, Queue
from random import Random
from typing import TYPE_CHECKING

from covey_server.answering.engines import Analysis, same_result
from covey_server.errors import CallError

if TYPE_CHECKING:
    from covey_server.answering.routing import Route
    from covey_server.answering.variants_at_work import VariantsAtWork
    from covey_server.decoding import EventColumns
    from covey_server.metrics.counters import RequestBook

_QUEUE_SIZE = 256
_QUEUED_BYTE_LIMIT = 32 * 2**20
_GIVE_WAY_SECONDS = 0.25
_GIVE_WAY_STEP_SECONDS = 0.005

_log = logging.getLogger("covey_server.shadow")


@dataclass(frozen=True, slots=True)
class _Sample:
    rollout: str
    variant: str
    is_candidate: bool
    events: EventColumns
    as_of_us: int
    served: Analysis
    byte_count: int


class Shadow:
    """Compares a share of the answers with what the other variant makes of the same input.

    Args:
        at_work: runs the engine calls, in lanes that no caller shares.
        book: where results are counted.
        random: draws the share.
        deadline_seconds: of one engine call; one that does not return in time counts as failed.
        is_crowded: whether calls wait for a thread, so that this should give way.
    """

    def __init__(
        self,
        at_work: VariantsAtWork,
        book: RequestBook,
        random: Random,
        deadline_seconds: float,
        is_crowded: Callable[[], bool] = lambda: False,
    ) -> None:
        self._at_work = at_work
        self._book = book
        self._random = random
        self._deadline_seconds = deadline_seconds
        self._is_crowded = is_crowded
        self._queue: Queue[_Sample] = Queue(_QUEUE_SIZE)
        self._lock = threading.Lock()
        self._queued_bytes = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        self._thread.start()

    def offer(self, route: Route, events: EventColumns, as_of_us: int, served: Analysis) -> None:
        """Sample an answer that was given; returns at once."""
        if self.draws(route):
            self.take(route, events, as_of_us, served)

    def draws(self, route: Route) -> bool:
        """Whether the next answer by this route is one of the share; then `take` is to follow."""
        return route.split is not None and self._random.random() < route.split.shadow_share

    def take(self, route: Route, events: EventColumns, as_of_us: int, served: Analysis) -> None:
        """Compare an answer of the share; returns at once."""
        split = route.split
        other = route.other_variant
        if split is None or other is None:
            return
        sample = _Sample(split.rollout, other, not route.is_candidate, events, as_of_us, served, _byte_count(events))
        with self._lock:
            fits = self._queued_bytes + sample.byte_count <= _QUEUED_BYTE_LIMIT
            if fits:
                self._queued_bytes += sample.byte_count
        try:
            if not fits:
                raise Full
            self._queue.put_nowait(sample)
        except Full:
            if fits:
                self._took(sample)
            self._book.count_shadow(split.rollout, "dropped")

    def stop(self) -> None:
        """End the thread after the sample at hand; what is queued is forgotten."""
        self._stopping.set()
        self._thread.join(timeout=self._deadline_seconds + 1.0)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                sample = self._queue.get(timeout=0.1)
            except Empty:
                continue
            self._took(sample)
            self._give_way()
            self._book.count_shadow(sample.rollout, self._compare(sample))

    def _compare(self, sample: _Sample) -> str:
        try:
            computed = self._at_work.analyze(
                sample.variant,
                sample.events,
                sample.as_of_us,
                is_candidate=sample.is_candidate,
                timeout_seconds=self._deadline_seconds,
            )
            return "equal" if same_result(sample.served, computed) else "different"
        except CallError as error:
            _log.debug("shadow failed", extra={"variant": sample.variant, "code": error.code.name})
        except Exception:
            _log.exception("shadow failed", extra={"variant": sample.variant})
        return "failed"

    def _give_way(self) -> None:
        waited = 0.0
        while self._is_crowded() and waited < _GIVE_WAY_SECONDS and not self._stopping.is_set():
            self._stopping.wait(_GIVE_WAY_STEP_SECONDS)
            waited += _GIVE_WAY_STEP_SECONDS

    def _took(self, sample: _Sample) -> None:
        with self._lock:
            self._queued_bytes -= sample.byte_count


def _byte_count(events: EventColumns) -> int:
    columns = (
        events.time_us,
        events.domain.index,
        events.capability.index,
        events.kind,
        events.action_taken,
        events.weight,
    )
    return sum(column.nbytes for column in columns if column is not None)
