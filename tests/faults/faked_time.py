"""Processes whose wall clock a test sets, by Debian's libfaketime; their monotonic clock is the machine's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_LIBRARY = "faketime/libfaketimeMT.so.1"


class FakedTime:
    """The time of day of some processes.

    Args:
        file: where it is kept; the processes read it again every second. At every look at the clock, of which a server
            has thousands a second, that would starve them.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set("+0")

    def set(self, offset: str) -> None:
        """Make it jump.

        Args:
            offset: from the true time, such as "-3600" or "+1h"; or "@" and a date and time at which it starts anew.
        """
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset}\n")
        new.replace(self._file)

    @property
    def environment(self) -> dict[str, str]:
        """Of a process that lives by this time."""
        return {
            "LD_PRELOAD": os.fspath(library()),
            "FAKETIME_TIMESTAMP_FILE": os.fspath(self._file),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_CACHE_DURATION": "1",
            "NO_FAKE_STAT": "1",
        }


def library() -> Path:
    """libfaketime; where it is absent a failure in CI and a skip elsewhere."""
    for folder in [*sorted(Path("/usr/lib").glob("*-linux-gnu")), Path("/usr/lib")]:
        if (found := folder / _LIBRARY).exists():
            return found
    message = "libfaketime is not installed; apt-get install libfaketime"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
