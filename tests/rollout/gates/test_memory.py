"""What gates remember: a fold over ticks, equal by value, the same bytes when it is made again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from covey.rollout.replay import replay
from covey.rollout.state import fold
from covey.v1.evidence_pb2 import ReplicaReading
from covey.v1.journal_pb2 import Entry

from ..lane import Lane, Part, plan_text
from ..test_gates_segments import HIDDEN, told

EDGES = (0.05, 0.1, 0.2, 0.4)
TEXT = plan_text(
    "error_rate > 10 %",
    "p99 worse than baseline",
    criteria=(
        "{statement: error_rate < 40 %, margin: 2}",
        "p99 not worse than baseline",
        "{statement: segments(engagement) < 5 %, accept_by: product}",
    ),
    share="10 %",
    hold="10m",
    head="on_segment_harm: exclude",
)


def part(random: np.random.Generator, by_shard: int) -> Part:
    trials = np.full(100, by_shard)
    errors = random.binomial(trials, 0.01)
    durations = random.multinomial(int(trials.sum()), (0.6, 0.3, 0.09, 0.008, 0.002))
    return Part(int(trials.sum()), int(errors.sum()), shards=np.stack([trials, errors]), durations=durations)


def driven(looks: int = 45, seed: int = 0) -> Lane:
    """A rollout with everything that the gates look at."""
    random = np.random.default_rng(seed)
    lane = Lane(TEXT, edges=EDGES)
    lane.wait([part(random, 10) for _ in range(5)])
    told(lane, HIDDEN)
    for _ in range(looks):
        lane.tick(part(random, 1), part(random, 9))
    return lane


def test_the_journal_gives_the_memory_again() -> None:
    lane = driven()
    assert "segment_excluded" in lane.journal.kinds()
    again = fold(Entry.FromString(entry.SerializeToString()) for entry in lane.journal.entries)
    assert again.gates == lane.state.gates
    assert again == lane.state


def test_its_replay_is_byte_identical() -> None:
    entries = driven().journal.entries
    copies = [Entry.FromString(entry.SerializeToString(deterministic=True)) for entry in entries]
    assert [entry.SerializeToString(deterministic=True) for entry in replay(copies)] == [
        entry.SerializeToString(deterministic=True) for entry in entries
    ]


def test_memories_are_equal_by_value_only() -> None:
    memory = driven(3).state.gates
    assert memory == replace(memory, log_e=memory.log_e.copy())
    moved = memory.log_e.copy()
    moved[0, 0] = np.nextafter(moved[0, 0], np.inf)
    assert memory != replace(memory, log_e=moved)
    assert memory != replace(memory, log_masses=None)
    assert memory != replace(memory, tick=memory.tick + 1)
    assert memory != driven(3, seed=1).state.gates
    assert memory != "memory"
    with pytest.raises(TypeError, match="no hash"):
        hash(memory)


def change_last(field: str, name: str, value: int) -> Callable[[ReplicaReading], None]:
    def change(page: ReplicaReading) -> None:
        getattr(getattr(page, field)[0], name)[-1] = value

    return change


def extend(field: str, name: str) -> Callable[[ReplicaReading], None]:
    def change(page: ReplicaReading) -> None:
        getattr(getattr(page, field)[0], name).append(1)

    return change


def one_more_shard(page: ReplicaReading) -> None:
    for shards in page.shards:
        for counts in (shards.request_counts, shards.error_counts, shards.unavailable_counts):
            counts.append(0)


def turned_edges(page: ReplicaReading) -> None:
    page.durations[0].edges_seconds[0] = 7.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (change_last("shards", "request_counts", -1), "a shard counter of variants/reference is negative"),
        (change_last("shards", "error_counts", 10**6), "more failures than requests"),
        (change_last("shards", "unavailable_counts", 10**6), "more failures than requests"),
        (extend("shards", "error_counts"), "have 100, 101 entries"),
        (one_more_shard, "has 101 shards where it had 100"),
        (change_last("durations", "request_counts", -1), "a duration counter of variants/reference is negative"),
        (extend("durations", "request_counts"), "6 counts for 4 edges"),
        (turned_edges, "do not rise"),
    ],
)
def test_a_page_that_cannot_be_true_is_a_fault_and_no_evidence(
    change: Callable[[ReplicaReading], None], words: str
) -> None:
    lane = driven(10)
    before, whole = lane.state, ReplicaReading()
    whole.CopyFrom(lane.page)
    change(lane.page)
    lane.tick()
    (fault,) = lane.state.faults
    assert fault.startswith("replica a: ")
    assert words in fault
    assert lane.state.gates.log_e == pytest.approx(before.gates.log_e)
    assert lane.state.phase_counts == before.phase_counts
    lane.page.CopyFrom(whole)
    lane.tick()
    assert lane.state.faults == ()


def test_a_counter_of_shards_or_durations_that_fell_is_a_fault() -> None:
    for field, name, word in (
        ("shards", "request_counts", "a shard counter fell"),
        ("durations", "request_counts", "a duration counter fell"),
    ):
        lane = driven(10)
        counts: Any = getattr(getattr(lane.page, field)[0], name)
        counts[0] -= 5
        lane.tick()
        assert word in lane.state.faults[0]


def test_shards_without_entries_are_none() -> None:
    lane = driven(2)
    for shards in lane.page.shards:
        for name in ("request_counts", "error_counts", "unavailable_counts"):
            shards.ClearField(name)
    lane.tick(Part(100), Part(900))
    assert lane.state.faults == ()
    lane.tick(Part(100), Part(900))
    assert lane.state.in_phase


def test_after_a_restart_there_may_be_another_number_of_shards() -> None:
    lane = driven(4)
    random = np.random.default_rng(9)
    lane.page.server_start_time_seconds += 1
    lane.page.ClearField("shards")

    def few(by_shard: int) -> Part:
        trials = np.full(20, by_shard)
        return Part(int(trials.sum()), shards=np.stack([trials, random.binomial(trials, 0.01)]))

    for _ in range(3):
        lane.tick(few(5), few(45))
    assert lane.state.faults == ()
    shards = lane.state.gates.baseline.shards
    assert shards is not None
    assert len(shards.trials) == 20, "only the newer are kept"
