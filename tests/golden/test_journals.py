"""Any journal gives every verdict again, byte for byte: those of each release, and generated ones on two dispatches."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest
from faults.amounts import amount
from findings import Finding

from covey import __version__
from covey.rollout.replay import replay

from .journals import HERE, corpus, digest, made, packed, unpacked

RELEASES = sorted(path.name.removeprefix("journals-").removesuffix(".binpb.gz") for path in HERE.glob("journals-*"))


def test_this_release_has_its_journals() -> None:
    assert __version__ in RELEASES


@pytest.mark.parametrize("version", RELEASES)
def test_the_journals_of_a_release_give_the_same_bytes(version: str) -> None:
    journals = unpacked(gzip.decompress(corpus(version).read_bytes()))
    assert len(journals) >= 12
    kinds = {entry.WhichOneof("payload") for journal in journals for entry in journal}
    assert kinds >= {"tick", "phase_entered", "held", "released", "checkpoint", "rollback_started", "finished"}
    assert [digest(replay(journal)) for journal in journals] == [digest(journal) for journal in journals]


REPLAY = """
import runpy, sys
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
# Shows every bit of a number.
UNROUNDED = """
from covey.rollout import units
units.rounded = float
"""
# The last bit of every ln E of a level is another, as that of an earlier release or of another libm may be.
NUDGED = """
import numpy
from covey import _core
def nudged(function):
    return lambda *arguments: numpy.nextafter(function(*arguments), numpy.inf)
_core.bernoulli_log_e_less = nudged(_core.bernoulli_log_e_less)
_core.bernoulli_log_e_greater = nudged(_core.bernoulli_log_e_greater)
"""


def replayed(file: Path, disabled: str, *before: str) -> tuple[str, list[str]]:
    """What NumPy dispatches to, and the digests, in a process of its own."""
    environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": disabled}
    command = [sys.executable, *before, str(HERE / "journals.py"), str(file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stderr
    dispatch, *digests = done.stdout.split("\n")[:-1]
    return dispatch, digests


def test_generated_journals_on_two_dispatch_levels(tmp_path: Path, finding: Finding) -> None:
    """This process wrote them with whatever NumPy found; the lowest level gives the same bytes."""
    count = amount("JOURNALS", 6)
    file = tmp_path / "journals"
    with file.open("wb") as written:
        digests = []
        for seed in range(1000, 1000 + count):
            journal = made(seed)
            written.write(packed([journal]))
            digests.append(digest(journal))
    highest, of_highest = replayed(file, "")
    if not highest:
        pytest.skip("NumPy has one level only on this machine")
    lowest, of_lowest = replayed(file, highest.replace(",", " "))
    assert lowest == ""
    finding(f"{count} generated journals replayed with {highest} and without: the same {file.stat().st_size:,} bytes")
    assert of_highest == digests
    assert of_lowest == digests


def test_another_last_bit_reaches_no_journal_but_by_every_bit_of_a_number(tmp_path: Path) -> None:
    """With its twin: without the rounding to 9 digits it does."""
    file = tmp_path / "journals"
    journals = [made(seed) for seed in range(1000, 1003)]
    file.write_bytes(packed(journals))
    _, of_nudged = replayed(file, "", "-c", NUDGED + REPLAY)
    assert of_nudged == [digest(journal) for journal in journals]
    _, of_unrounded = replayed(file, "", "-c", UNROUNDED + REPLAY)
    _, of_nudged = replayed(file, "", "-c", UNROUNDED + NUDGED + REPLAY)
    assert of_unrounded != of_nudged
