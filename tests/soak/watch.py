"""Samples of the memory of processes, as the kernel counts it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path

from .judge import Samples


def resident_mebibytes(pid: int, field: str = "VmRSS") -> float:
    """Of a process: now (VmRSS) or at most so far (VmHWM).

    Raises:
        ProcessLookupError: it has ended.
    """
    try:
        lines = (Path("/proc") / str(pid) / "status").read_text().splitlines()
    except FileNotFoundError as error:
        raise ProcessLookupError(pid) from error
    for line in lines:
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(pid)


class Watch:
    """Samples processes until it is stopped or one of them ends.

    Args:
        pids: by name; they are at rest now.
        interval_seconds: between samples.

    Attributes:
        ended: names of processes that ended while they were watched.
    """

    def __init__(self, pids: Mapping[str, int], interval_seconds: float) -> None:
        self.ended: list[str] = []
        self._pids = dict(pids)
        self._interval_seconds = interval_seconds
        self._rest = {name: resident_mebibytes(pid) for name, pid in pids.items()}
        self._peaks = dict(self._rest)
        self._seconds: dict[str, list[float]] = {name: [] for name in pids}
        self._mebibytes: dict[str, list[float]] = {name: [] for name in pids}
        self._begun = time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch")
        self._thread.start()

    @property
    def latest(self) -> dict[str, float]:
        """The last sample of each, in MiB."""
        return {name: values[-1] for name, values in self._mebibytes.items() if values}

    def samples_of(self, name: str) -> list[float]:
        """All samples of one so far, in MiB."""
        return self._mebibytes[name]

    def stop(self) -> list[Samples]:
        """Ends sampling; what was seen of each process."""
        self._stopping.set()
        self._thread.join()
        return [
            Samples(name, self._seconds[name], self._mebibytes[name], self._rest[name], self._peaks[name])
            for name in self._pids
        ]

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_seconds) and not self.ended:
            for name, pid in self._pids.items():
                try:
                    now, peak = resident_mebibytes(pid), resident_mebibytes(pid, "VmHWM")
                except ProcessLookupError:
                    self.ended.append(name)
                    continue
                self._seconds[name].append(time.monotonic() - self._begun)
                self._mebibytes[name].append(now)
                self._peaks[name] = peak
