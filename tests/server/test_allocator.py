"""Large blocks go back to the system, also where small ones that live on lie between them."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
from pathlib import Path
import numpy as np
from covey_server.allocator import return_large_blocks

if sys.argv[1] == "returned" and not return_large_blocks():
    print("this C library has no such option")
    sys.exit(3)

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20

del (first := [np.ones(3 << 20, np.uint8) for _ in range(2)])[:]
before, kept, large = resident(), [], []
for _ in range(64):
    large.append(np.ones(3 << 20, np.uint8))
    kept.append(np.ones(100_000, np.uint8))
assert resident() > before + 180
large.clear()
print(resident() - before)
"""


def kept_mebibytes(way: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, way], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode == 3:
        pytest.skip(done.stdout)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_large_blocks_go_back() -> None:
    assert kept_mebibytes("returned") < 30


def test_left_alone_the_c_library_keeps_them() -> None:
    """The twin."""
    assert kept_mebibytes("left alone") > 150
