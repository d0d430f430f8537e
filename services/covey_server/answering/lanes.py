"""Engine calls on threads of their own, one bounded lane per variant: an engine that hangs costs its lane only.

The thread that serves a call waits for its lane until the call's deadline and then answers DEADLINE_EXCEEDED; the
engine thread stays behind, counted as overdue, and holds its place until the engine returns.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

import grpc

from covey_server.errors import CallError

Result = TypeVar("Result")

_PATIENCE_SECONDS = 0.1


class EngineLane:
    """Runs the engine calls of one variant.

    Args:
        name: of the variant, for messages.
        caller_count: threads that may call at the same time; one of them is never kept waiting for a place.
    """

    def __init__(self, name: str, caller_count: int) -> None:
        self._name = name
        self._caller_count = caller_count
        self._free = threading.Condition()
        self._busy = 0
        self._waiting = 0
        self._overdue = 0
        self._thread_count = 0
        self._tasks: SimpleQueue[_Task[object] | None] = SimpleQueue()

    @property
    def overdue_count(self) -> int:
        """Engine calls that have not returned by their deadline."""
        return self._overdue

    def run(self, work: Callable[[], Result], timeout_seconds: float, limit: int) -> Result:
        """What `work` returns.

        Args:
            work: the engine call.
            timeout_seconds: how long the caller waits for it.
            limit: places, and so engine calls at work at the same time; overdue ones take places too.

        Raises:
            CallError: DEADLINE_EXCEEDED when it does not return in time; without starting it UNAVAILABLE when the
                lane is held by overdue calls, RESOURCE_EXHAUSTED when it is merely full.
            Exception: what `work` raises.
        """
        self._take_place(timeout_seconds, limit)
        task = _Task(work)
        self._tasks.put(task)  # type: ignore[arg-type]
        if not task.done.acquire(timeout=max(0.0, timeout_seconds)):
            with self._free:
                if not task.finished:
                    task.abandoned = True
                    self._overdue += 1
                    raise _late(self._name, timeout_seconds)
        if task.error is not None:
            raise task.error
        return task.result  # type: ignore[return-value]

    def stop(self) -> None:
        """End the idle threads; one that hangs in an engine is left to the end of the process."""
        with self._free:
            for _ in range(self._thread_count):
                self._tasks.put(None)

    def _take_place(self, timeout_seconds: float, limit: int) -> None:
        with self._free:
            if self._busy >= limit:
                if self._overdue or self._busy + self._waiting >= self._caller_count - 1:
                    raise self._refusal(limit)
                self._waiting += 1
                try:
                    patience = min(_PATIENCE_SECONDS, timeout_seconds)
                    if not self._free.wait_for(lambda: self._busy < limit, patience):
                        raise self._refusal(limit)
                finally:
                    self._waiting -= 1
            self._busy += 1
            if self._busy > self._thread_count:
                self._thread_count += 1
                threading.Thread(target=self._work, name=f"engine-{self._name}", daemon=True).start()

    def _refusal(self, limit: int) -> CallError:
        if self._overdue:
            return CallError(
                grpc.StatusCode.UNAVAILABLE,
                f"{self._name} does not answer: {self._overdue} of its calls are past their deadline",
                reason="VARIANT_UNAVAILABLE",
                metadata={"variant": self._name},
                retry_after_seconds=1.0,
            )
        return CallError(
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            f"{self._name} has all of its {limit} engine places taken; send fewer calls at once",
            reason="VARIANT_OVERLOADED",
            metadata={"variant": self._name},
            retry_after_seconds=_PATIENCE_SECONDS,
        )

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task.run()
            with self._free:
                self._busy -= 1
                task.finished = True
                if task.abandoned:
                    self._overdue -= 1
                self._free.notify()
            task.done.release()
            del task


class _Task(Generic[Result]):
    __slots__ = ("abandoned", "done", "error", "finished", "result", "work")

    def __init__(self, work: Callable[[], Result]) -> None:
        self.work = work
        self.done = threading.Lock()
        self.done.acquire()
        self.result: Result | None = None
        self.error: BaseException | None = None
        self.finished = False
        self.abandoned = False

    def run(self) -> None:
        try:
            self.result = self.work()
        except BaseException as error:
            self.error = error


def _late(name: str, timeout_seconds: float) -> CallError:
    return CallError(
        grpc.StatusCode.DEADLINE_EXCEEDED,
        f"{name} did not answer within {timeout_seconds:.3g} s",
        reason="ENGINE_DEADLINE",
        metadata={"variant": name},
    )
