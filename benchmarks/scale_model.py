"""What so many learners need, from measured costs: the model behind docs/scale.md.

    python benchmarks/scale_model.py [--learners 10000000 ...] [--costs benchmarks/scale_costs.json]

Arithmetic and nothing hidden: load is learners times habits, a need is load times a measured cost over what may be used
of a core, and a limit is the load at which one thing that cannot be doubled is full. What is assumed of learners stands
in `Habits`, what is assumed of machines in `Machines`, what was measured in scale_costs.json.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

COSTS_FILE = Path(__file__).with_name("scale_costs.json")
GIB = float(1 << 30)
_LOOKS_A_SECOND = 4.0
_CONNECTIONS_OF_A_REPLICA = 10.0
_CONNECTIONS_OF_POSTGRESQL = 100.0


@dataclass(frozen=True)
class Habits:
    """What learners do, at the busiest moment and over a day.

    Attributes:
        at_once_share: of the learners, who are there at the busiest moment: of ten million, a million.
        questions_a_minute: asked about one who is there, each with the learner's history.
        events_a_minute: of one who is there.
        outcomes_a_minute: reported of one who is there, while a rollout runs.
        outcomes_a_request: that callers report together.
        active_share: of the learners, who come on a day.
        events_a_day: of one who comes.
        outcomes_a_day: of one who comes.
        kept_days: how long events are kept.
        rollout_days: how long a rollout takes.
    """

    at_once_share: float = 0.1
    questions_a_minute: float = 1.0
    events_a_minute: float = 2.0
    outcomes_a_minute: float = 0.1
    outcomes_a_request: float = 100.0
    active_share: float = 0.3
    events_a_day: float = 20.0
    outcomes_a_day: float = 1.0
    kept_days: float = 365.0
    rollout_days: float = 14.0


@dataclass(frozen=True)
class Machines:
    """What is assumed of machines.

    Attributes:
        busy_share: of a core that may be used at the busiest moment, so that waiting stays short.
        replica_memory_bytes: of a server without learners.
        replica_cores: that one replica is counted with, as it was measured: Python runs on one core at a time.
        standby: replicas that may be away without a caller noticing.
    """

    busy_share: float = 0.6
    replica_memory_bytes: float = 400e6
    replica_cores: float = 1.0
    standby: int = 1


@dataclass(frozen=True)
class Needs:
    """What is needed, at the busiest moment where it is a rate."""

    learners: float
    calls_per_second: float
    answering_cores: float
    stream_cores: float
    replicas: int
    replica_memory_gib: float
    memory_gib: float
    wire_in_mbit: float
    wire_out_mbit: float
    ingest_cores: float
    ingest_events_per_second: float
    events_gib: float
    outcomes_gib: float
    exposures_gib: float
    commits_per_second: float
    store_cores: float
    start_seconds: float
    discovery_core_hours: float


def needs(learners: float, costs: dict[str, float], habits: Habits, machines: Machines) -> Needs:
    """What so many learners need.

    Args:
        learners: that there are.
        costs: of scale_costs.json.
        habits: of the learners.
        machines: they run on.
    """
    a_day, at_once = learners * habits.active_share, learners * habits.at_once_share
    calls = at_once * habits.questions_a_minute / 60.0
    events = at_once * habits.events_a_minute / 60.0
    outcome_requests = at_once * habits.outcomes_a_minute / 60.0 / habits.outcomes_a_request
    answering = calls * costs["call_us"] * 1e-6 / machines.busy_share
    replicas = math.ceil(answering / machines.replica_cores) + machines.standby
    # Memory is there for the moment at which exposures are sorted at the start, not for the table alone.
    replica_memory = machines.replica_memory_bytes + learners * costs["exposure_peak_bytes"]
    return Needs(
        learners=learners,
        calls_per_second=calls,
        answering_cores=answering,
        stream_cores=calls * costs["stream_us_per_learner"] * 1e-6 / machines.busy_share,
        replicas=replicas,
        replica_memory_gib=replica_memory / GIB,
        memory_gib=replicas * replica_memory / GIB,
        wire_in_mbit=(calls * costs["question_bytes"] + events * costs["wire_bytes_per_event"]) * 8e-6,
        wire_out_mbit=calls * costs["answer_bytes"] * 8e-6,
        ingest_cores=events * costs["ingest_us_per_event"] * 1e-6 / machines.busy_share,
        ingest_events_per_second=events,
        events_gib=a_day * habits.events_a_day * habits.kept_days * costs["column_bytes_per_event"] / GIB,
        outcomes_gib=a_day * habits.outcomes_a_day * habits.rollout_days * costs["outcome_row_bytes"] / GIB,
        exposures_gib=learners * costs["exposure_row_bytes"] / GIB,
        # A replica commits new exposures up to ten times a second, and as often as it gets a turn where turns are
        # short: more wait for the next one. Once a second is counted. Outcomes are committed as callers report them.
        commits_per_second=replicas + outcome_requests,
        # Every replica asks four times a second what the others wrote.
        store_cores=replicas * _LOOKS_A_SECOND * costs["heads_ms_10000"] * 1e-3 / machines.busy_share,
        start_seconds=learners * costs["exposure_load_us"] * 1e-6,
        discovery_core_hours=learners * costs["traits_us_per_learner"] * 1e-6 / 3600.0,
    )


@dataclass(frozen=True)
class Limit:
    """One thing that is full at some number of learners.

    Attributes:
        name: of it.
        learners: at which it is.
        answer: what the design does, or what must be done.
    """

    name: str
    learners: float
    answer: str


def limits(costs: dict[str, float], habits: Habits, machines: Machines) -> list[Limit]:
    """What is full, the first first."""
    one = needs(1e6, costs, habits, machines)
    per_learner = 1e-6
    memory = (16 * GIB - machines.replica_memory_bytes) / costs["exposure_peak_bytes"]
    turns_there_are = 1e3 / costs["commit_ms"] * machines.busy_share
    outcome_turns = (one.commits_per_second - one.replicas) * per_learner
    replicas_each = one.answering_cores * per_learner / machines.replica_cores
    found = [
        Limit(
            "connections of the store: 10 of each replica, of PostgreSQL's 100",
            _CONNECTIONS_OF_POSTGRESQL / _CONNECTIONS_OF_A_REPLICA / replicas_each,
            "raise max_connections, or PgBouncer in session mode; streams need a sixtieth of the replicas",
        ),
        Limit(
            "calls of one replica",
            1.0 / replicas_each,
            "more replicas: they share nothing from call to call",
        ),
        Limit(
            "ingest of one dataset, one writer on one core",
            1.0 / (one.ingest_cores * per_learner),
            "datasets by region or product; a dataset over several servers is not built",
        ),
        Limit(
            "events of a dataset on a disk of 4 TiB",
            4096.0 / (one.events_gib * per_learner),
            "keep fewer days of events, or the history in Parquet beside (docs/analysis.md)",
        ),
        Limit(
            "start of a replica within 60 s, exposures loaded",
            60.0 / (costs["exposure_load_us"] * 1e-6),
            "end phases: what is over is not loaded; replace replicas one at a time, as upgrades do",
        ),
        Limit(
            "exposures in 16 GiB of each replica",
            memory,
            "larger machines; a rollout on a share of the learners, which needs no more of them",
        ),
        Limit(
            "one core of PostgreSQL, asked four times a second by each replica",
            machines.busy_share / (_LOOKS_A_SECOND * costs["heads_ms_10000"] * 1e-3) / replicas_each,
            "the index of version 3 of the tables made it so; LISTEN/NOTIFY next (decision 012)",
        ),
        Limit(
            "turns at the one lock of the store, one a second of each replica",
            turns_there_are / (outcome_turns + replicas_each),
            "larger batches of outcomes: a turn costs the same with 10,000 as with one",
        ),
    ]
    return sorted(found, key=lambda limit: limit.learners)


def busiest_replica(replicas: int, connections: int, *, rounds: int = 2000, seed: int = 1) -> float:
    """Connections of the busiest replica over the average, as the kernel deals them by a hash: mean of many deals."""
    dealt = np.random.default_rng(seed).multinomial(connections, [1.0 / replicas] * replicas, size=rounds)
    return float(dealt.max(axis=1).mean() * replicas / connections)


def calls_per_second(
    replicas: int, cores: float, costs: dict[str, float], machines: Machines, *, connections: int = 0
) -> float:
    """Calls that replicas answer at most, the generator elsewhere.

    Args:
        replicas: processes.
        cores: for all of them.
        costs: measured.
        machines: of `replica_cores`.
        connections: over which callers spread evenly; 0: so many that the deal of the kernel is even, too.
    """
    usable = min(cores, replicas * machines.replica_cores)
    spread = busiest_replica(replicas, connections) if connections else 1.0
    return usable / (costs["call_us"] * 1e-6) / spread


def two_over_one(costs: dict[str, float]) -> float:
    """What bench_replicas.py should find on two cores: its generator works on them, too."""
    return 2.0 * costs["call_us"] / (costs["call_us"] + costs["generator_us"])


def read_costs(path: Path = COSTS_FILE) -> dict[str, float]:
    """The measured costs."""
    found: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))["costs"]
    return found


def table(found: Sequence[Needs]) -> str:
    """Needs as a table of Markdown, one column a number of learners."""
    rows = [
        ("calls/s at the busiest moment", "calls_per_second", "{:,.0f}"),
        ("cores that answer, one learner a call", "answering_cores", "{:,.1f}"),
        ("the same in streams of 1,024 learners", "stream_cores", "{:,.2f}"),
        ("replicas, one to spare", "replicas", "{:,d}"),
        ("memory of a replica, GiB", "replica_memory_gib", "{:,.1f}"),
        ("memory of all, GiB", "memory_gib", "{:,.0f}"),
        ("wire in, Mbit/s", "wire_in_mbit", "{:,.0f}"),
        ("wire out, Mbit/s", "wire_out_mbit", "{:,.0f}"),
        ("events to store, a second", "ingest_events_per_second", "{:,.0f}"),
        ("cores that store events", "ingest_cores", "{:,.2f}"),
        ("events of a year, GiB", "events_gib", "{:,.0f}"),
        ("outcomes of a rollout, GiB", "outcomes_gib", "{:,.1f}"),
        ("exposures of a phase, GiB", "exposures_gib", "{:,.2f}"),
        ("turns at the store's lock a second, one of each replica", "commits_per_second", "{:,.1f}"),
        ("cores of PostgreSQL for what replicas ask", "store_cores", "{:,.2f}"),
        ("start of a replica: exposures loaded, s", "start_seconds", "{:,.0f}"),
        ("traits of everybody, core hours", "discovery_core_hours", "{:,.3f}"),
    ]
    head = "| learners | " + " | ".join(f"{one.learners / 1e6:,g}M" for one in found) + " |"
    lines = [head, "|---" * (len(found) + 1) + "|"]
    for words, name, form in rows:
        lines.append(f"| {words} | " + " | ".join(form.format(getattr(one, name)) for one in found) + " |")
    return "\n".join(lines)


def limits_table(found: Sequence[Limit]) -> str:
    """Limits as a table of Markdown."""
    lines = ["| full first | at learners | what is done about it |", "|---|---|---|"]
    lines += [f"| {one.name} | {one.learners / 1e6:,.0f}M | {one.answer} |" for one in found]
    return "\n".join(lines)


def spread_table(replica_counts: Sequence[int], connections_each: Sequence[int]) -> str:
    """How even the kernel's deal is, as a table of Markdown: busiest replica over the average."""
    lines = [
        "| replicas | " + " | ".join(f"{each} connections each" for each in connections_each) + " |",
        "|---" * (len(connections_each) + 1) + "|",
    ]
    for count in replica_counts:
        spreads = (f"{busiest_replica(count, count * each):.2f}" for each in connections_each)
        lines.append(f"| {count} | " + " | ".join(spreads) + " |")
    return "\n".join(lines)


def main() -> None:
    """Print the tables of docs/scale.md."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--learners", type=float, nargs="+", default=[5e5, 10e6, 100e6])
    parser.add_argument("--costs", type=Path, default=COSTS_FILE)
    arguments = parser.parse_args()
    costs, habits, machines = read_costs(arguments.costs), Habits(), Machines()
    print(table([needs(learners, costs, habits, machines) for learners in arguments.learners]))
    print()
    print(limits_table(limits(costs, habits, machines)))
    print()
    print(spread_table((2, 4, 8, 32), (4, 16, 64, 256)))


if __name__ == "__main__":
    main()
