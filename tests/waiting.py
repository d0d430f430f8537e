"""Waiting for what other threads and processes do: for as long as a slow machine needs, and no longer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")

# A machine ten times slower than a developer's, busy with other tests, is waited for too.
PATIENCE_SECONDS = 60.0


def wait_until(
    condition: Callable[[], Found], seconds: float = PATIENCE_SECONDS, why: Callable[[], object] | None = None
) -> Found:
    """What `condition()` returns, once that is true.

    Args:
        condition: asked again and again.
        seconds: at most so long.
        why: what to say where it does not become true, such as the log of who should have made it so.

    Raises:
        AssertionError: it did not become true in time.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"did not become true within {seconds:g} s" + (f": {why()}" if why else ""))
        time.sleep(0.01)
    return found


def happens(condition: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> bool:
    """Whether `condition()` becomes true in time; for what should not, a time that is not spent in vain."""
    try:
        wait_until(condition, seconds)
    except AssertionError:
        return False
    return True
