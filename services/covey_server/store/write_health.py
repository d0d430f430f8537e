"""For how long writes have failed or hung: what a metrics page can tell while the store cannot."""

from __future__ import annotations

import time
from collections.abc import Callable


class WriteHealth:
    """Told by the writer, read without its lock.

    Args:
        monotonic: seconds of a clock that never goes back.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._failing_since: float | None = None
        self._at_work_since: float | None = None

    def begin(self) -> None:
        """A turn at writing begins."""
        self._at_work_since = self._monotonic()

    def end(self) -> None:
        """It is over, well or not."""
        self._at_work_since = None

    def failed(self) -> None:
        """Something was not written."""
        if self._failing_since is None:
            self._failing_since = self._monotonic()

    def succeeded(self) -> None:
        """Anything would have been written."""
        self._failing_since = None

    @property
    def unwritable_seconds(self) -> float:
        """Since the first failure without a success after it, or since a turn began that has not ended."""
        begun = [moment for moment in (self._failing_since, self._at_work_since) if moment is not None]
        return self._monotonic() - min(begun) if begun else 0.0
