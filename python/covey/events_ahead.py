"""Work done ahead in a second thread, by a bounded number of items."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any, TypeVar

Item = TypeVar("Item")

_LOOK_AGAIN_SECONDS = 0.05


class _End:
    """Comes after the last item, with the error that ended them, if one did."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def read_ahead(items: Iterable[Item], depth: int = 2) -> Generator[Item, None, None]:
    """The items, made in a thread of their own that is at most `depth` finished items ahead.

    What goes wrong there is raised here. Close the generator (`contextlib.closing`) to stop the thread early: it ends
    with the item it is making.
    """
    queue: Queue[Any] = Queue(depth)
    stopped = Event()

    def hand_over(item: Any) -> bool:
        while not stopped.is_set():
            try:
                queue.put(item, timeout=_LOOK_AGAIN_SECONDS)
            except Full:
                continue
            return True
        return False

    def work() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                if not hand_over(item):
                    break
        except BaseException as caught:
            error = caught  # raised again where the items are used
        hand_over(_End(error))

    thread = Thread(target=work, name="covey-read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            item = queue.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        stopped.set()
        while thread.is_alive():
            try:
                queue.get_nowait()
            except Empty:
                thread.join(_LOOK_AGAIN_SECONDS)
