"""Small disks that fill up, and system calls that fail on purpose."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

needs_mount = pytest.mark.skipif(os.getuid() != 0, reason="mounting a small file system needs root")
needs_strace = pytest.mark.skipif(
    shutil.which("strace") is None and os.environ.get("CI") != "true", reason="strace is not installed"
)


@contextmanager
def small_disk(place: Path, kilobytes: int) -> Iterator[Path]:
    """A file system in memory of that size, as long as the block runs; skips where nothing may be mounted."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(place)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"mounting is not allowed here: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(place: Path) -> Path:
    """A file that takes all space that is left."""
    path = place / "filler"
    with path.open("ab", buffering=0) as file:
        for size in (65_536, 4_096, 512, 1):
            while True:
                try:
                    file.write(bytes(size))
                except OSError:
                    break
    return path


@contextmanager
def failing_calls(pid: int, calls: str, error: str) -> Iterator[None]:
    """While the block runs, these system calls of a live process fail with that error."""
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e", f"inject={calls}:error={error}"]
    # It says nothing once it is attached, and with -v its own messages tell it.
    tracer = subprocess.Popen([*command, "-p", str(pid)], stderr=subprocess.PIPE, text=True)
    try:
        _wait_until_traced(pid, tracer)
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.communicate(timeout=30)


def _wait_until_traced(pid: int, tracer: subprocess.Popen[str]) -> None:
    threads = Path(f"/proc/{pid}/task")
    while tracer.poll() is None:
        statuses = [(task / "status").read_text() for task in threads.iterdir()]
        if all(f"TracerPid:\t{tracer.pid}\n" in status for status in statuses):
            return
    _, said = tracer.communicate()
    pytest.skip(f"tracing is not allowed here: {said.strip()}")
