"""How little memory traits take beside their input: bytes of the columns over peak extra bytes, results included.

The columns are narrow, as covey chooses them at load: rows grouped by learner with offsets, times as uint32 seconds,
domain, capability, kind and action as bytes, weights as float32; twelve bytes an event and eight a learner. Extra is
what the resident memory of a fresh process grows by at its peak, from before `Events.traits` until it has returned, as
the kernel counts it (VmHWM, whose mark is reset before; memory that was freed before is given back first). The results
are 56 bytes a learner; without kind, action and weight (six bytes an event, a log without feedback) the ratio would be
half of this one.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import harness
import workload
from covey.events import Events
from covey.identifiers import LearnerIds
from harness import ROUNDS_FACTOR_VARIABLE, Row

CLAIMS_HERE = ("bytes of the input columns over peak extra bytes, sorted input, 1M learners",)
ROUNDS = 5


def run(smoke: bool) -> list[Row]:
    """All rounds in one fresh process, which holds the columns and nothing else of size."""
    learner_count = 150_000 if smoke else 1_000_000
    rounds = ROUNDS * int(os.environ.get(ROUNDS_FACTOR_VARIABLE, "1"))
    command = [sys.executable, __file__, "--measure", str(learner_count), str(rounds)]
    columns, extra = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return [
        harness.claim_result(
            CLAIMS_HERE[0],
            ours=[peak / 1e6 for peak in extra],
            rival=[columns / 1e6] * rounds,
            rival_name="bytes of the input columns",
            unit="MB",
            n=learner_count,
        )
    ]


def narrow_events(learner_count: int) -> Events:
    """The learners of the claims in the columns that a sorted Parquet file would give, with weights."""
    wide = workload.learners(learner_count)
    offsets = np.searchsorted(wide.learner_index, np.arange(learner_count + 1)).astype(np.int64)
    origin_us = workload.START_SECONDS * 1_000_000
    weight = np.random.default_rng(2).integers(1, 6, len(wide)).astype(np.float32)
    return Events(
        learner_ids=LearnerIds(integers=np.arange(learner_count)),
        learner_index=None,
        learner_offsets=offsets,
        time=((wide.time_us - origin_us) // 1_000_000).astype(np.uint32),
        time_origin_us=origin_us,
        domain_index=wide.domain_index,
        domains=tuple(f"d{number:02d}" for number in range(workload.DOMAIN_COUNT)),
        capability_index=wide.capability_index.astype(np.uint8),
        capabilities=tuple(f"c{number:02d}" for number in range(workload.CAPABILITY_COUNT)),
        kind=wide.kind,
        action_taken=wide.action_taken,
        weight=weight,
    )


def measure(learner_count: int, rounds: int) -> tuple[int, list[int]]:
    """Bytes of the columns, and the peak extra bytes of their traits in each round, in this process."""
    few = narrow_events(2_000)
    np.testing.assert_allclose(few.traits().matrix, few.traits(engine="reference").matrix, atol=1e-6)
    events = narrow_events(learner_count)
    extra = []
    for _ in range(rounds):
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmRSS")
        traits = events.traits()
        extra.append(_status("VmHWM") - before)
        assert len(traits) == learner_count
        del traits
    return events.byte_count, extra


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(int(sys.argv[2]), int(sys.argv[3]))))
    else:
        harness.main(run)
