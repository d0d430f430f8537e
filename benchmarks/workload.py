"""The learners that the claims about traits and the wire are measured on: 8 weeks, 4 to 10 events a week each.

N learners have 56 N events on average, in whole seconds, over 12 domains and 100 capabilities (a capability belongs to
one domain); a tenth of the events are feedback, half of it acted upon, so that no trait is idle. Everything follows
from the seed, whatever the machine: two processes that need the same learners generate them instead of sending them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covey import _core
from covey.engine import engine_named
from covey.parameters import TraitParameters

WEEKS = 8
DOMAIN_COUNT = 12
CAPABILITY_COUNT = 100
WEEK_SECONDS = 7 * 86_400
START_SECONDS = 1_767_571_200
"""Monday 2026-01-05, midnight UTC."""
FEEDBACK = 4
LEARNERS_PER_BLOCK = 100_000


@dataclass(frozen=True)
class Workload:
    """Columns of n events, as `covey._core.compute_traits` takes them; 17 bytes an event."""

    learner_count: int
    learner_index: NDArray[np.int32]
    time_us: NDArray[np.int64]
    domain_index: NDArray[np.uint8]
    capability_index: NDArray[np.uint16]
    kind: NDArray[np.uint8]
    action_taken: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.time_us)

    @property
    def columns(self) -> dict[str, NDArray[Any]]:
        """The columns by name."""
        names = ("learner_index", "time_us", "domain_index", "capability_index", "kind", "action_taken")
        return {name: getattr(self, name) for name in names}

    @property
    def column_bytes(self) -> int:
        """What has to be read."""
        return sum(column.nbytes for column in self.columns.values())

    @property
    def as_of_us(self) -> int:
        """The newest event."""
        return int(self.time_us.max())

    def arguments(self) -> dict[str, Any]:
        """What an engine's `compute_traits` is called with, but for the parameters."""
        renamed = {"time" if name == "time_us" else name: column for name, column in self.columns.items()}
        return renamed | {
            "learner_count": self.learner_count,
            "domain_count": DOMAIN_COUNT,
            "capability_count": CAPABILITY_COUNT,
            "weight": None,
            "as_of_us": self.as_of_us,
        }

    def arrival_order(self) -> Workload:
        """The same events as a log: by time, events of one second by learner."""
        rows = len(self)
        row_bits = max(1, (rows - 1).bit_length())
        keys = self.time_us // 1_000_000 - START_SECONDS
        keys <<= row_bits
        keys |= np.arange(rows)
        keys.sort()
        keys &= (1 << row_bits) - 1
        columns: dict[str, Any] = {name: column[keys] for name, column in self.columns.items()}
        return replace(self, **columns)


def learners(learner_count: int, seed: int = 1) -> Workload:
    """Events by learner, each learner's by time."""
    blocks = [
        _block(first, min(LEARNERS_PER_BLOCK, learner_count - first), seed)
        for first in range(0, learner_count, LEARNERS_PER_BLOCK)
    ]
    columns = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    return Workload(learner_count=learner_count, **columns)


def _block(first_learner: int, learner_count: int, seed: int) -> dict[str, Any]:
    random = np.random.default_rng((seed, first_learner))
    counts = random.integers(4, 11, learner_count * WEEKS)
    learner_week = np.repeat(np.arange(learner_count * WEEKS), counts)
    # Weeks follow each other within a learner, so one sort orders a learner's events by time.
    seconds = learner_week * WEEK_SECONDS + random.integers(0, WEEK_SECONDS, len(learner_week))
    seconds.sort()
    learner = (learner_week // WEEKS).astype(np.int32)
    seconds -= learner.astype(np.int64) * (WEEKS * WEEK_SECONDS)
    capability = random.integers(0, CAPABILITY_COUNT, len(seconds), dtype=np.uint16)
    draw = random.integers(0, 20, len(seconds), dtype=np.uint8)
    return {
        "learner_index": learner + np.int32(first_learner),
        "time_us": (seconds + START_SECONDS) * 1_000_000,
        "domain_index": (capability % DOMAIN_COUNT).astype(np.uint8),
        "capability_index": capability,
        "kind": np.where(draw < 2, FEEDBACK, 2 + draw % 2).astype(np.uint8),
        "action_taken": (draw == 0).astype(np.uint8),
    }


def assert_same_traits(ours: dict[str, Any], theirs: dict[str, Any], tolerance: float = 1e-6) -> None:
    """Every trait that both computed agrees for every learner."""
    for name, values in theirs.items():
        difference = np.abs(np.asarray(ours[name], dtype=np.float64) - np.asarray(values, dtype=np.float64))
        worst = int(difference.argmax())
        assert difference[worst] <= tolerance, f"{name} of learner {worst}: {ours[name][worst]} and {values[worst]}"


def native_arguments(workload: Workload) -> dict[str, Any]:
    """What `covey._core.compute_traits` is called with, prepared outside of what is timed."""
    return workload.arguments() | {"parameters": _core.TraitParameters()}


def reference_traits(workload: Workload) -> dict[str, Any]:
    """What the readable NumPy engine says, the oracle of every rival."""
    return engine_named("reference").compute_traits(workload.arguments(), TraitParameters(), threads=1)
