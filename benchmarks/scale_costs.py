"""What one learner, one event and one call cost here, for the model of docs/scale.md.

    python benchmarks/scale_costs.py [--json benchmarks/scale_costs.json]

Processor time is taken wherever it can be, as it depends less on who else is busy than the time on the wall. Each
figure is the median of a few rounds; the file holds them with the machine and the day. It needs what bench_replicas.py
needs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import text

import bench_replicas
import bench_wire
import wire_servers
import workload
from covey import _core
from covey_server.catalogue import tables as catalogue_tables
from covey_server.outcomes.exposures_table import ExposureTable
from covey_server.outcomes.outcomes import OutcomeBook  # noqa: F401 - declares its tables
from covey_server.rollouts import journal_tables
from covey_server.store import Store, open_store

_LEARNERS = 100_000
_ROWS = 100_000
_ROUNDS = 5


def processor_seconds(work: Callable[[], object], rounds: int = _ROUNDS) -> float:
    """Of this process, the median of some rounds after one that warms up."""
    work()
    taken = []
    for _ in range(rounds):
        begin = time.process_time()
        work()
        taken.append(time.process_time() - begin)
    return statistics.median(taken)


def of_the_core() -> dict[str, float]:
    """Traits of learners whose events are in memory, and the state that is kept of each."""
    events = workload.learners(_LEARNERS)
    arguments = workload.native_arguments(events)
    seconds = processor_seconds(lambda: _core.compute_traits(**arguments, threads=1, isa=None))
    return {
        "events_per_learner": len(events) / _LEARNERS,
        "column_bytes_per_event": events.column_bytes / len(events),
        "traits_us_per_learner": 1e6 * seconds / _LEARNERS,
    }


def of_the_wire(rounds: int = _ROUNDS) -> dict[str, float]:
    """Server processor time and bytes of a learner in a stream, and of an event that is stored."""
    requests = bench_wire.questions(1024)
    message = bench_wire.together(requests)
    chunks = bench_wire.chunks(200, in_order=False)
    chunk_events = 200 * (bench_wire._CHUNK_BYTES // 20)
    taken: dict[str, list[float]] = {"stream": [], "ingest": []}
    with tempfile.TemporaryDirectory() as folder:
        server = wire_servers.covey_server(Path(folder))
        try:
            stream = bench_wire.streamer(server, [message] * 20)
            ingest = bench_wire.appender(server, chunks, bench_wire.Stopwatch())
            for label, work in (("stream", stream), ("ingest", ingest)):
                measured = bench_wire.with_server_time(server, work, taken[label])
                for _ in range(rounds + 1):
                    measured()
            ask = server.channel.unary_unary("/covey.v1.AnalyzerService/AnalyzeLearner")
            answer = ask(requests[0])
        finally:
            server.stop()
    return {
        "question_bytes": len(requests[0]),
        "answer_bytes": len(answer),
        "stream_us_per_learner": 1e6 * statistics.median(taken["stream"][1:]) / (20 * 1024),
        "ingest_us_per_event": 1e6 * statistics.median(taken["ingest"][1:]) / chunk_events,
        "wire_bytes_per_event": sum(map(len, chunks)) / chunk_events,
    }


def of_exposures() -> dict[str, float]:
    """Memory and start-up time of what every replica keeps of each learner in a rollout."""
    learners = np.random.default_rng(1).integers(0, 2**63, 1_000_000).astype(np.uint64)
    details = np.ones(1_000_000, np.uint64)

    def load() -> ExposureTable:
        table = ExposureTable()
        table.load(learners, details)
        return table

    seconds = processor_seconds(load, 3)
    tracemalloc.start()
    load()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    keys, values = load()._base
    return {
        "exposure_memory_bytes": (keys.nbytes + values.nbytes) / len(learners),
        "exposure_peak_bytes": peak / len(learners),
        "exposure_load_us": 1e6 * seconds / len(learners),
    }


def of_the_store(store: Store) -> dict[str, float]:
    """Bytes of rows with their indexes, and what a turn at the one lock takes."""
    with store.write() as connection:
        connection.execute(
            text(
                "INSERT INTO outcomes (learner, metric, value, time_us, phase_key, variant)"
                " SELECT n * 7919, 'engagement', n, n, 1, 0 FROM generate_series(1, :rows) AS n"
            ),
            {"rows": _ROWS},
        )
        connection.execute(
            text(
                "INSERT INTO exposure_batches (phase_key, record_count, records)"
                " SELECT 1, 4096, string_agg(decode(md5(n::text || '.' || k::text), 'hex'), '')"
                " FROM generate_series(1, 25) AS n, generate_series(1, 4096) AS k GROUP BY n"
            )
        )
    with store.read() as connection:
        outcome, exposure = (
            connection.execute(text(f"SELECT pg_total_relation_size('{table}')")).scalar_one()
            for table in ("outcomes", "exposure_batches")
        )
    taken = []
    for number in range(30):
        begin = time.perf_counter()
        with store.write() as connection:
            setting = {"name": f"a turn {number}", "value": ""}
            connection.execute(catalogue_tables.catalogue_settings.insert().values(setting))
        taken.append(time.perf_counter() - begin)
    return {
        "outcome_row_bytes": outcome / _ROWS,
        "exposure_row_bytes": exposure / (25 * 4096),
        "commit_ms": 1e3 * statistics.median(taken),
    }


def of_the_history(store: Store) -> dict[str, float]:
    """What each replica asks four times a second after ten thousand rollouts: now, and before version 3."""
    with store.write() as connection:
        connection.execute(
            text(
                "INSERT INTO rollouts (name, uid, target, finished_resource, last_sequence, is_finished)"
                " SELECT 'rollouts/r' || n, 'u' || n, 'analyzer', decode(repeat(md5(n::text), 60), 'hex'), 9, TRUE"
                " FROM generate_series(1, 10000) AS n"
            )
        )
    before = text(
        "SELECT name, last_sequence FROM rollouts WHERE finished_resource IS NULL OR name IN ('rollouts/r1')"
        " ORDER BY ordinal"
    )

    def timed(work: Callable[[Any], object]) -> float:
        taken = []
        with store.read() as connection:
            for _ in range(21):
                begin = time.perf_counter()
                work(connection)
                taken.append(time.perf_counter() - begin)
        return 1e3 * statistics.median(taken[1:])

    with store.write() as connection:
        connection.execute(text("ANALYZE rollouts"))
    return {
        "heads_ms_10000": timed(lambda connection: journal_tables.heads(connection, ["rollouts/r1"])),
        "heads_ms_10000_before": timed(lambda connection: connection.execute(before).all()),
    }


def measured() -> dict[str, float]:
    """Every cost."""
    replicas = bench_replicas.run(rounds=5, seconds=2.0)
    costs = {
        "call_us": replicas["one"]["server_us"],
        "calls_per_second_one": replicas["one"]["calls_per_second"],
        "calls_per_second_two": replicas["two"]["calls_per_second"],
        "generator_us": replicas["two"]["generator_us"],
        "busiest_of_two": 2.0 * replicas["two"]["busiest_share"],
        "two_over_one": replicas["ratio"]["median"],
        "two_over_one_smallest": replicas["ratio"]["smallest"],
        "two_over_one_largest": replicas["ratio"]["largest"],
    }
    costs |= of_the_core() | of_the_wire() | of_exposures()
    cluster = bench_replicas.Cluster()
    try:
        with tempfile.TemporaryDirectory() as folder:
            store = open_store(Path(folder), cluster.database())
            try:
                costs |= of_the_store(store) | of_the_history(store)
            finally:
                store.close()
    finally:
        cluster.remove()
    return costs


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    costs = {name: float(f"{value:.4g}") for name, value in measured().items()}
    for name, value in costs.items():
        print(f"{name:28}{value:>12,.4g}")
    if arguments.json:
        found = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": f"{platform.machine()}, {_core.active_isa()}, {os.cpu_count()} cores",
            "python": platform.python_version(),
            "costs": costs,
        }
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
