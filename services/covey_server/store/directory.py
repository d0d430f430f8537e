"""The data directory: made if absent, probed for permission, and locked while a server lives in it."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from covey_server.store.failures import StoreError

LOCK_NAME = "server.lock"
RESTORING_NAME = "restoring"
"""A mark: a backup is being put back here, and what is here is half of something."""
_OWNER_BYTES = 32

_REMEDIES = {
    errno.EACCES: "give this user read and write permission there, or choose another --data-directory",
    errno.EPERM: "give this user read and write permission there, or choose another --data-directory",
    errno.EROFS: "the file system is read-only: choose another --data-directory",
    errno.ENOSPC: "free some space on its file system, or choose another --data-directory",
    errno.EDQUOT: "raise this user's quota, or choose another --data-directory",
    errno.ENOTDIR: "a file is in the way: remove it, or choose another --data-directory",
    errno.EEXIST: "a file is in the way: remove it, or choose another --data-directory",
}
_OTHER_REMEDY = "check the file system, or choose another --data-directory"


def directory_error(error: OSError, place: Path) -> StoreError:
    """What an operating system error about the data directory means for people."""
    remedy = _REMEDIES.get(error.errno or 0, _OTHER_REMEDY)
    return StoreError(
        f"the data directory cannot be used ({error.strerror or error})",
        place=str(place),
        remedy=remedy,
        is_full=error.errno in {errno.ENOSPC, errno.EDQUOT},
    )


class DirectoryLock:
    """Exclusive use of a data directory by one live process; the kernel gives it back however the process ends."""

    def __init__(self, directory: Path) -> None:
        """Make the directory if needed and lock it.

        Raises:
            StoreError: no permission, no space, a file in the way, or another live server uses it.
        """
        try:
            directory.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise directory_error(error, directory) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(descriptor, _OWNER_BYTES, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                raise directory_error(error, directory) from error
            raise StoreError(
                f"another live server{f' (process {owner})' if owner else ''} uses this data directory",
                place=str(directory),
                remedy="stop that server, or choose another --data-directory",
            ) from error
        self._descriptor = descriptor
        try:
            # Over what is there, as a full disk may have no block for a file that was cut short.
            os.pwrite(descriptor, f"{os.getpid()}\n".ljust(_OWNER_BYTES).encode(), 0)
        except OSError as error:
            self.release()
            raise directory_error(error, directory) from error

    def release(self) -> None:
        """Give the directory back; the second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def sync_directory(directory: Path) -> None:
    """Make the names of new files in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Make the bytes of a file durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
