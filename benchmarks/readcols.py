"""Reading columns and doing next to nothing with them: the honest limit of this machine's memory.

A C++ loop compiled for this very machine. NumPy's `sum` is not at the limit: over 480 MB of int64 on one thread of a
Xeon (AVX-512) this loop read 16.7 GB/s, `ndarray.max` 16.4, `ndarray.sum` 13.1 (medians of nine interleaved rounds).
"""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SOURCE = Path(__file__).parent / "cpp" / "readcols.cpp"
LIBRARY = Path(__file__).parent.parent / "build" / "benchmarks" / "libreadcols.so"


def reader(columns: Iterable[NDArray[Any]]) -> Callable[[], int]:
    """What reads every byte of the columns once, on the calling thread.

    Raises:
        subprocess.CalledProcessError: when the C++ compiler refuses.
    """
    if not LIBRARY.exists() or LIBRARY.stat().st_mtime < SOURCE.stat().st_mtime:
        LIBRARY.parent.mkdir(parents=True, exist_ok=True)
        flags = ["-O3", "-march=native", "-mprefer-vector-width=512", "-shared", "-fPIC"]
        subprocess.run(["c++", *flags, str(SOURCE), "-o", str(LIBRARY)], check=True, timeout=60)
    read_column = ctypes.CDLL(str(LIBRARY)).covey_read_column
    read_column.restype = ctypes.c_uint64
    read_column.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    contiguous = [np.ascontiguousarray(column) for column in columns]

    def read() -> int:
        return sum(read_column(column.ctypes.data, column.nbytes) for column in contiguous)

    return read
