"""Traits of many learners: how close to the memory's limit, and how far ahead of polars and numpy.

    python benchmarks/bench_traits.py [--smoke]

1M learners, 56M events of 17 bytes (learner int32, time int64, domain uint8, capability uint16, kind and action_taken
uint8; see `workload`), 50,000 learners with --smoke. Ours computes the five traits and six further numbers, the rivals
the five. The rivals' forms, and what else was tried, stand in `rivals/`; each answers to 1e-6 what `covey.reference`
answers. Unless a claim says otherwise everything runs on one thread; polars has a process of its own for that.

Profile of sorted input (callgrind under AVX2, instructions an event, about 60 in all): the sums of each learner 29
(decay, domains, weeks; `plain_learners`), first uses 12, ages and days 7, the sets of events 7, ends of learners 1. The
rest widens columns and writes results. On one thread with AVX-512 that was 6.2 ns an event, with AVX2 7.1.
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np

import harness
import readcols
import workload
from covey import _core
from covey.parameters import TRAIT_NAMES
from rival_process import Contenders, RivalProcess
from rivals import duckdb_traits, numpy_traits

CLAIMS_HERE = (
    "sorted traits, AVX-512, one thread: column bytes/s over readcols",
    "sorted traits, AVX2, one thread: column bytes/s over readcols",
    "sorted traits over polars, equal threads",
    "sorted traits over numpy",
    "arrival-order traits over polars",
    "sorted time over arrival-order time",
    "one thread's time over two threads', traits",
)
CAPABILITIES = workload.CAPABILITY_COUNT
DOMAINS = workload.DOMAIN_COUNT


def native(events: workload.Workload, threads: int = 1, isa: str | None = None) -> Callable[[], dict[str, Any]]:
    """Our contender."""
    arguments = workload.native_arguments(events)
    return lambda: _core.compute_traits(**arguments, threads=threads, isa=isa)


def polars_contenders(learner_count: int) -> Contenders:
    """Runs in the rival's process."""
    from rivals import polars_traits

    by_learner = workload.learners(learner_count)
    as_of_us = by_learner.as_of_us
    sorted_frame = polars_traits.frame(by_learner.columns, by_learner=True)
    log_frame = polars_traits.frame(by_learner.arrival_order().columns, by_learner=False)
    del by_learner

    def arrays(table: Any) -> dict[str, Any]:
        return {name: table[name].to_numpy() for name in TRAIT_NAMES}

    return {
        "sorted": lambda: arrays(polars_traits.traits(sorted_frame, CAPABILITIES, as_of_us)),
        "any order": lambda: arrays(polars_traits.traits_in_any_order(sorted_frame, CAPABILITIES, as_of_us)),
        "log": lambda: arrays(polars_traits.traits_of_log(log_frame, CAPABILITIES, as_of_us)),
    }


def run(smoke: bool) -> list[harness.Row]:
    """The rows of `CLAIMS_HERE`."""
    learner_count = 50_000 if smoke else 1_000_000
    _check_against_reference()
    events = workload.learners(learner_count)
    log = events.arrival_order()
    rows = _own_rows(events, log, rounds=9 if smoke else 15)
    rows += _polars_rows(events, log)
    rows.append(_numpy_row(events))
    if not smoke:
        smaller = workload.learners(200_000)
        _polars_notes(smaller)
        _duckdb_notes(smaller)
    return sorted(rows, key=lambda row: CLAIMS_HERE.index(row["claim"]))


def _check_against_reference() -> None:
    events = workload.learners(5_000, seed=2)
    # A tick of ten minutes, so that uses share the instant of the first use.
    events.time_us[:] -= events.time_us % 600_000_000
    expected = {name: value for name, value in workload.reference_traits(events).items() if name in TRAIT_NAMES}
    log = events.arrival_order()
    workload.assert_same_traits(expected, _numpy(events))
    for isa in _core.available_isas():
        workload.assert_same_traits(native(events, isa=isa)(), expected)
        workload.assert_same_traits(native(log, threads=2, isa=isa)(), expected)
    from rivals import polars_traits

    frames = (
        polars_traits.traits(polars_traits.frame(events.columns, by_learner=True), CAPABILITIES, events.as_of_us),
        polars_traits.traits_of_log(polars_traits.frame(log.columns, by_learner=False), CAPABILITIES, events.as_of_us),
    )
    for table in frames:
        workload.assert_same_traits(expected, {name: table[name].to_numpy() for name in TRAIT_NAMES})


def _own_rows(events: workload.Workload, log: workload.Workload, rounds: int) -> list[harness.Row]:
    """What compares us with the memory and with ourselves."""
    isas = [isa for isa in ("avx512", "avx2") if isa in _core.available_isas()]
    contenders: dict[str, Callable[[], object]] = {isa: native(events, isa=isa) for isa in isas}
    contenders |= {
        "one": native(events),
        "two": native(events, threads=2),
        "log": native(log),
        "readcols": readcols.reader(events.columns.values()),
    }
    seconds = harness.interleave(contenders, rounds)
    read_rate = events.column_bytes / statistics.median(seconds["readcols"]) / 1e9
    harness.note(
        f"traits, {len(events):,} events: sorted {_nanoseconds(seconds['one'], events)} an event, arrival order "
        f"{_nanoseconds(seconds['log'], events)}, two threads {_nanoseconds(seconds['two'], events)}; "
        f"readcols {read_rate:.1f} GB/s"
    )
    row = functools.partial(harness.claim_result, unit="s", n=events.learner_count)
    rows = [
        row(claim=claim, ours=seconds[isa], rival=seconds["readcols"], rival_name="readcols")
        for claim, isa in zip(CLAIMS_HERE, ("avx512", "avx2"), strict=False)
        if isa in isas
    ]
    rows.append(row(claim=CLAIMS_HERE[5], ours=seconds["log"], rival=seconds["one"], rival_name="sorted input"))
    rows.append(row(claim=CLAIMS_HERE[6], ours=seconds["two"], rival=seconds["one"], rival_name="one thread"))
    return rows


def _polars_rows(events: workload.Workload, log: workload.Workload) -> list[harness.Row]:
    name = f"polars {version('polars')}, 1 thread"
    with _polars(events, threads=1) as rival:
        ours = native(events)()
        for contender in ("sorted", "log"):
            workload.assert_same_traits(ours, rival.result(contender))
        by_learner = harness.interleave({"ours": native(events), "rival": rival.contender("sorted")})
        arrival = harness.interleave({"ours": native(log), "rival": rival.contender("log")})
    return [
        harness.claim_result(
            claim, ours=seconds["ours"], rival=seconds["rival"], rival_name=name, unit="s", n=events.learner_count
        )
        for claim, seconds in ((CLAIMS_HERE[2], by_learner), (CLAIMS_HERE[4], arrival))
    ]


def _polars_notes(events: workload.Workload) -> None:
    """Two threads on both sides; and a form that relies on no order of a learner's rows, as covey relies on none."""
    with _polars(events, threads=2) as rival:
        note_ratio("sorted traits over polars, two threads each", native(events, 2), rival.contender("sorted"))
    with _polars(events, threads=1) as rival:
        workload.assert_same_traits(native(events)(), rival.result("any order"))
        note_ratio("sorted traits over polars without reliance on order", native(events), rival.contender("any order"))


def _polars(events: workload.Workload, threads: int) -> RivalProcess:
    return RivalProcess(polars_contenders, (events.learner_count,), {"POLARS_MAX_THREADS": str(threads)})


def note_ratio(what: str, ours: Callable[[], object], rival: Callable[[], object]) -> None:
    """Three rounds, reported beside the claims."""
    seconds = harness.interleave({"ours": ours, "rival": rival}, rounds=3)
    ratio = statistics.median(theirs / own for own, theirs in zip(seconds["ours"], seconds["rival"], strict=True))
    harness.note(f"{what}: {harness.rounded(ratio)} times")


def _numpy(events: workload.Workload) -> dict[str, Any]:
    return numpy_traits.traits(events.columns, events.learner_count, DOMAINS, CAPABILITIES, events.as_of_us)


def _numpy_row(events: workload.Workload) -> harness.Row:
    workload.assert_same_traits(native(events)(), _numpy(events))
    seconds = harness.interleave({"ours": native(events), "rival": lambda: _numpy(events)})
    return harness.claim_result(
        CLAIMS_HERE[3],
        ours=seconds["ours"],
        rival=seconds["rival"],
        rival_name=f"numpy {np.__version__}",
        unit="s",
        n=events.learner_count,
    )


def _duckdb_notes(by_learner: workload.Workload) -> None:
    for order, events in (("sorted", by_learner), ("arrival-order", by_learner.arrival_order())):
        connection = duckdb_traits.connect(events.columns, threads=1)
        ours, rival = native(events), functools.partial(duckdb_traits.traits, connection, events.as_of_us)
        answer = rival()
        workload.assert_same_traits(ours(), {name: answer[name] for name in TRAIT_NAMES})
        note_ratio(f"{order} traits over duckdb, one thread, {events.learner_count:,} learners", ours, rival)
        connection.close()


def _nanoseconds(seconds: list[float], events: workload.Workload) -> str:
    return f"{statistics.median(seconds) / len(events) * 1e9:.2f} ns"


if __name__ == "__main__":
    harness.main(run)
