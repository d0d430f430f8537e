"""Space that is set aside while there is some, so that a rollback can still be recorded when there is none.

The file holds nothing. When the disk is full and a write must not fail for that, the file is given up and the write
made again; from then on nothing else is written until the file could be set aside again.
"""

from __future__ import annotations

import os
from pathlib import Path

from covey_server.store.directory import sync_directory

BALLAST_NAME = "ballast"
DEFAULT_BYTES = 2 << 20
"""Room for some thirty rollbacks in the write-ahead log of SQLite."""


class Ballast:
    """The file of one data directory. Use it under the writer's lock.

    Args:
        directory: where it lies.
        byte_count: its size; 0: there is none, and nothing is refused for its sake.
    """

    def __init__(self, directory: Path, byte_count: int) -> None:
        self._path = directory / BALLAST_NAME
        self._byte_count = byte_count
        self._is_kept = False

    @property
    def is_kept(self) -> bool:
        """Whether nothing more is to be set aside."""
        return self._is_kept

    @property
    def kept_bytes(self) -> int:
        """What is set aside."""
        return self._byte_count if self._is_kept else 0

    @property
    def wanted_bytes(self) -> int:
        """What is to be set aside."""
        return self._byte_count

    def keep(self) -> bool:
        """Set the space aside where that was not done; whether it is set aside now."""
        if not self._is_kept and self._byte_count:
            try:
                self._allocate()
            except OSError:
                self._path.unlink(missing_ok=True)  # a part of it is of no use, and in the way
                return False
        self._is_kept = True
        return True

    def give_up(self) -> bool:
        """Give the space to the next write; False where there was none to give."""
        if not self._byte_count or not self._path.exists():
            return False
        self._is_kept = False
        # Some file systems need a block to remove a name, and none to cut a file short.
        with self._path.open("r+b") as file:
            file.truncate(0)
        self._path.unlink(missing_ok=True)
        return True

    def _allocate(self) -> None:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            if os.fstat(descriptor).st_size > self._byte_count:
                os.ftruncate(descriptor, self._byte_count)
            os.posix_fallocate(descriptor, 0, self._byte_count)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_directory(self._path.parent)
