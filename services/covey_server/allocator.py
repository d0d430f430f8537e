"""Large blocks of memory go back to the system when they are freed."""

from __future__ import annotations

import ctypes
import sys

LARGE_BYTES = 1 << 20
_M_MMAP_THRESHOLD = -3  # of glibc's <malloc.h>


def return_large_blocks() -> bool:
    """Map every block of a mebibyte and more by itself, from now on and for good; True where the C library can.

    Without this glibc takes the first large blocks that are freed as a sign that more will come, and keeps such blocks
    (up to 32 MiB each) in the heaps of its threads, where small ones that live on between them hold them fast: what a
    server has once worked on at the same time would be resident for ever, a multiple of what calls in flight may take.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES) == 1
