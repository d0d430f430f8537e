"""Instructions of each kernel family, counted by callgrind, against the recorded ones: `make bench-instructions`.

    python benchmarks/instructions.py DRIVER [--accept]

Times on shared machines scatter by tens of percent; the same program on the same columns executes the same instructions
to the last one, so a kernel cannot slow down by a few percent unseen. Counted under COVEY_ISA=avx2 and baseline:
Valgrind knows no AVX-512. Counts belong to a compiler and a C library and are compared only where those match. What
instructions do not show are caches, branches and memory; the claims show those.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RECORD = Path(__file__).parent / "instructions.json"
ISAS = ("avx2", "baseline")
TOLERANCE_PERCENT = 3
WORTH_RECORDING = 0.01
DEADLINE_SECONDS = 120
HOW_TO_ACCEPT = "to accept: make bench-instructions ACCEPT=--accept, and say why in the commit"

Counts = dict[str, dict[str, int]]
"""Instructions by family and instruction set."""


def judged(recorded: Mapping[str, Mapping[str, int]], counted: Counts) -> tuple[list[str], list[str]]:
    """What fails, and what is only worth saying: improvements and what stayed."""
    failures, remarks = [], []
    for family, by_isa in counted.items():
        for isa, count in by_isa.items():
            was = recorded.get(family, {}).get(isa)
            if was is None:
                failures.append(f"{family} on {isa}: nothing recorded, is {count:,}")
                continue
            change = count / was - 1
            line = f"{family} on {isa}: was {was:,}, is {count:,} ({change:+.1%})"
            if count * 100 > was * (100 + TOLERANCE_PERCENT):
                failures.append(line)
            else:
                remarks.append(f"{line}, an improvement to record" if change < -WORTH_RECORDING else line)
    failures += [
        f"{family}: recorded, but the driver has no such family" for family in recorded if family not in counted
    ]
    return failures, remarks


def count(driver: Path, family: str, isa: str) -> int:
    """Instructions inside the driver's `covey_measured`.

    Raises:
        RuntimeError: when the driver fails or nothing was counted.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=callgrind", "--toggle-collect=covey_measured"]
        command += [f"--callgrind-out-file={folder}/callgrind.out", str(driver), family]
        environment = os.environ | {"COVEY_ISA": isa}
        result = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=DEADLINE_SECONDS
        )
    found = re.search(r"Collected : (\d+)", result.stderr)
    if result.returncode != 0 or found is None or int(found[1]) == 0:
        raise RuntimeError(f"{family} on {isa}: exit status {result.returncode}, nothing counted\n{result.stderr}")
    return int(found[1])


def toolchain(driver: Path) -> str:
    """What the counts belong to."""
    return f"{_ask(driver, '--compiler')}, {' '.join(platform.libc_ver())}, {platform.machine()}"


def _ask(driver: Path, question: str) -> str:
    return subprocess.run([driver, question], capture_output=True, text=True, check=True, timeout=10).stdout.strip()


def main() -> int:
    """Count, compare, say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("driver", type=Path, help="the built covey_kernel_driver")
    parser.add_argument("--accept", action="store_true", help="record what is counted now")
    arguments = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("SKIPPED: instructions are not counted, valgrind is not installed (apt-get install valgrind)")
        return 0
    recorded: dict[str, Any] = (
        json.loads(RECORD.read_text()) if RECORD.exists() else {"toolchain": "nothing", "instructions": {}}
    )
    here = toolchain(arguments.driver)
    if recorded["toolchain"] != here and not arguments.accept:
        print(f"SKIPPED: instructions were recorded with {recorded['toolchain']}, this is {here}")
        return 0
    families = _ask(arguments.driver, "--list").split()
    counted = {family: {isa: count(arguments.driver, family, isa) for isa in ISAS} for family in families}
    failures, remarks = judged(recorded["instructions"], counted)
    print("\n".join(remarks))
    if arguments.accept:
        print("\n".join(failures))
        RECORD.write_text(json.dumps({"toolchain": here, "instructions": counted}, indent=2) + "\n")
        print(f"recorded in {RECORD.name}")
        return 0
    for failure in failures:
        print(f"FAILED: {failure}")
    if failures:
        print(HOW_TO_ACCEPT)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
