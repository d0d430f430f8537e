"""The model of docs/scale.md against what was measured, and the page against the model."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

import scale_model as model
import workload
from covey import _core
from covey_server.outcomes.exposures_table import RECORD

COSTS = model.read_costs()
HABITS, MACHINES = model.Habits(), model.Machines()
PAGE = Path(model.__file__).resolve().parent.parent / "docs" / "scale.md"
# A machine five times quicker, or ten times slower and busy with other tests.
QUICKER, SLOWER = 5.0, 40.0


def needs(learners: float) -> model.Needs:
    return model.needs(learners, COSTS, HABITS, MACHINES)


def test_one_and_two_replicas_answer_as_the_model_says() -> None:
    """What bench_replicas.py measured: one replica on a core, two on two cores with the generator on them."""
    one = model.calls_per_second(1, 1.0, COSTS, MACHINES)
    assert COSTS["calls_per_second_one"] == pytest.approx(one, rel=0.2)
    cores = 2.0 * COSTS["call_us"] / (COSTS["call_us"] + COSTS["generator_us"])
    two = model.calls_per_second(2, cores, COSTS, MACHINES)
    assert COSTS["calls_per_second_two"] == pytest.approx(two, rel=0.25)
    assert COSTS["two_over_one"] == pytest.approx(model.two_over_one(COSTS), rel=0.25)
    assert COSTS["two_over_one_smallest"] > 1.2, "two replicas answer more than one"


def test_the_kernel_s_deal_is_as_even_as_the_simulation_says() -> None:
    """Sixteen connections, the median of some deals: within what single deals are."""
    simulated = model.busiest_replica(2, 16)
    assert 1.0 <= COSTS["busiest_of_two"] < simulated + 0.35
    deals = [model.busiest_replica(8, 8 * each) for each in (4, 16, 64, 256)]
    assert deals == sorted(deals, reverse=True)
    assert model.busiest_replica(1, 5) == 1.0
    assert model.calls_per_second(8, 8.0, COSTS, MACHINES, connections=32) < 0.7 * model.calls_per_second(
        8, 8.0, COSTS, MACHINES
    )


def test_costs_are_of_the_units_they_say() -> None:
    """Measured again, small: a thousandth or a thousandfold would be found on any machine."""
    events = workload.learners(2000)
    arguments = workload.native_arguments(events)
    _core.compute_traits(**arguments, threads=1, isa=None)
    begin = time.process_time()
    for _ in range(5):
        _core.compute_traits(**arguments, threads=1, isa=None)
    now = 1e6 * (time.process_time() - begin) / 5 / 2000
    assert COSTS["traits_us_per_learner"] / QUICKER < now < COSTS["traits_us_per_learner"] * SLOWER
    assert COSTS["exposure_memory_bytes"] == RECORD.itemsize
    assert COSTS["column_bytes_per_event"] == events.column_bytes / len(events)
    assert RECORD.itemsize <= COSTS["exposure_row_bytes"] < 1.3 * RECORD.itemsize
    assert COSTS["exposure_memory_bytes"] < COSTS["exposure_peak_bytes"]


def test_needs_grow_with_learners_and_never_without_them() -> None:
    some, more = needs(10e6), needs(100e6)
    for name in ("answering_cores", "wire_in_mbit", "events_gib", "exposures_gib", "ingest_cores", "start_seconds"):
        assert getattr(more, name) == pytest.approx(10 * getattr(some, name))
    none = needs(0)
    assert none.calls_per_second == none.events_gib == 0
    assert none.replicas == MACHINES.standby


def test_a_million_at_once_by_hand() -> None:
    """Ten million learners, a tenth of them there, a question a minute."""
    found = needs(10e6)
    assert found.calls_per_second == pytest.approx(1e6 / 60)
    assert found.answering_cores == pytest.approx(1e6 / 60 * COSTS["call_us"] * 1e-6 / MACHINES.busy_share)
    assert found.events_gib == pytest.approx(3e6 * 20 * 365 * 17 / 2**30)


def test_at_a_limit_what_it_names_is_just_full() -> None:
    full = {
        limit.name.partition(":")[0].partition(",")[0]: limit.learners
        for limit in model.limits(COSTS, HABITS, MACHINES)
    }
    assert list(full.values()) == sorted(full.values())
    assert needs(full["calls of one replica"]).answering_cores == pytest.approx(MACHINES.replica_cores)
    assert needs(full["ingest of one dataset"]).ingest_cores == pytest.approx(1.0)
    assert needs(full["events of a dataset on a disk of 4 TiB"]).events_gib == pytest.approx(4096.0)
    assert needs(full["start of a replica within 60 s"]).start_seconds == pytest.approx(60.0)
    assert needs(full["exposures in 16 GiB of each replica"]).replica_memory_gib == pytest.approx(16.0)
    # These two depend on whole replicas, one to spare.
    assert needs(full["one core of PostgreSQL"]).store_cores == pytest.approx(1.0, rel=0.05)
    busy = needs(full["turns at the one lock of the store"]).commits_per_second * COSTS["commit_ms"] * 1e-3
    assert busy == pytest.approx(MACHINES.busy_share, rel=0.05)


def test_a_slower_call_needs_more_of_everything_that_answers() -> None:
    slower = COSTS | {"call_us": 10 * COSTS["call_us"]}
    assert model.needs(10e6, slower, HABITS, MACHINES).answering_cores == pytest.approx(
        10 * needs(10e6).answering_cores
    )
    idle = model.needs(10e6, COSTS, replace(HABITS, at_once_share=0.0), MACHINES)
    assert idle.calls_per_second == idle.ingest_events_per_second == 0


def test_the_page_says_what_the_model_says() -> None:
    page = PAGE.read_text(encoding="utf-8")
    every = [needs(learners) for learners in (5e5, 10e6, 100e6)]
    assert model.table(every) in page, "python benchmarks/scale_model.py prints it"
    assert model.limits_table(model.limits(COSTS, HABITS, MACHINES)) in page
    assert model.spread_table((2, 4, 8, 32), (4, 16, 64, 256)) in page
