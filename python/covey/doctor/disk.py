"""A data directory on this machine: may it be written, is there space, how long does a sync take."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from covey.doctor import judgements
from covey.doctor.findings import Finding, fail, ok

_SYNCS = 9
_BLOCK = bytes(4096)


def examine_disk(
    directory: Path, ballast_bytes: int | None, version: Callable[[Path], tuple[int | None, int]]
) -> list[Finding]:
    """What a data directory is like. Nothing of it is changed; a file is written beside it all, synced and removed.

    Args:
        directory: of a server, which may run.
        ballast_bytes: that is to be set aside; None: not known.
        version: of the tables there, and the newest that this program knows; raises OSError or ValueError.
    """
    if not directory.exists():
        parent = next(one for one in (directory, *directory.parents) if one.exists())
        if os.access(parent, os.W_OK | os.X_OK):
            return [ok("store", f"{directory} is not there yet; the first start makes it")]
        return [fail("store", f"{directory} cannot be made in {parent}", "make it, and give it to the server's user")]
    if not directory.is_dir():
        return [fail("store", f"{directory} is no folder", "name another data directory, or move that file away")]
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        return [
            fail("store", f"{directory} may not be written by this user", "run this as the server's user, or chown it")
        ]
    found = [_version(directory, version)]
    status = os.statvfs(directory)
    found.append(judgements.space(status.f_bavail * status.f_frsize, str(directory)))
    ballast = directory / "ballast"
    kept = ballast.stat().st_blocks * 512 if ballast.exists() else 0
    found.append(judgements.ballast(kept, ballast_bytes))
    try:
        found.append(judgements.sync_time(_sync_seconds(directory)))
    except OSError as error:
        found.append(fail("sync", f"{directory}: {error.strerror}", "free space, or look at the disk"))
    return found


def _version(directory: Path, version: Callable[[Path], tuple[int | None, int]]) -> Finding:
    try:
        return judgements.version(*version(directory))
    except (OSError, ValueError) as error:
        return fail("store", str(error), "`covey audit verify --data-directory` says more; docs/runbooks/restore.md")


def _sync_seconds(directory: Path) -> float:
    """Median of a few: a block appended and synced."""
    times = []
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(_SYNCS):
            file.write(_BLOCK)
            file.flush()
            begun = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - begun)
    return statistics.median(times)
