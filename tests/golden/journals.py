"""Journals made by decide() in virtual time, and as files: one of each release stays here for good.

At a release: `.venv/bin/python -m tests.golden.journals` writes journals-VERSION.binpb.gz beside this file.
"""

from __future__ import annotations

import gzip
import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import TypeAlias

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))  # as pytest does; this file runs alone, too

from rollout.test_outcomes import TEXT as OUTCOMES_PLAN  # noqa: E402
from rollout.test_outcomes import moments  # noqa: E402
from rollout.world import Replica, World, started  # noqa: E402

from covey import __version__  # noqa: E402
from covey.rollout import commands, simulation  # noqa: E402
from covey.rollout.commands import CommandRefused  # noqa: E402
from covey.rollout.rehearsal import Operator, Rehearsal  # noqa: E402
from covey.rollout.replay import replay  # noqa: E402
from covey.rollout.spec import load_spec, with_defaults  # noqa: E402
from covey.v1.evidence_pb2 import Absence, AbsenceType  # noqa: E402
from covey.v1.journal_pb2 import Entry  # noqa: E402
from covey.v1.rollouts_pb2 import ListEntriesResponse  # noqa: E402

Journal: TypeAlias = list[Entry]

IN_THE_CORPUS = 12
MOST_LOOKS = 60
DURATIONS_PLAN = """
target: analyzer
baseline: reference
candidate: native
tick_interval: 10s
phases:
  - name: canary
    traffic_share: 20 %
    hold: 2m
    max_hold: 5m
    criteria: [{statement: error_rate < 2 %, margin: 0}, p90 not worse than baseline]
  - name: rollout
    traffic_share: 100 %
    hold: 1m
    criteria: [{statement: error_rate < 2 %, margin: 0}]
triggers: [{statement: error_rate > 3 %, tolerance: 0}, p99 worse than baseline]
"""


def made(seed: int) -> Journal:
    """A journal: with every kind of look, with outcomes, or with durations, by its seed."""
    chance = Random(seed)
    if seed % 3 == 0:
        return _eventful(started(requests_per_second=chance.choice([5, 80, 700]), seed=seed), chance)
    if seed % 3 == 1:
        return _eventful(_with_outcomes(seed, chance), chance)
    return _with_durations(seed, chance)


def _with_outcomes(seed: int, chance: Random) -> World:
    world = started(OUTCOMES_PLAN, requests_per_second=300.0, seed=seed)
    for metric, segments in (("revenue", ("",)), ("engagement", ("s0", "s1", "s2"))):
        for segment in segments:
            learners = chance.randint(100, 50_000)
            for variant in ("variants/native", "variants/reference"):
                world.outcomes.append(moments(metric, variant, 2 * chance.uniform(0.97, 1.03), learners, segment))
    return world


def _eventful(world: World, chance: Random) -> Journal:
    """Looks, some of them at what cannot be believed, and people."""
    usual = chance.choice([0.0005, 0.005, 0.02])
    for _ in range(MOST_LOOKS):
        if world.journal.state.is_terminal:
            break
        world.error_rate = usual if chance.random() < 0.9 else chance.choice([0.0, 0.05, 0.5])
        world.probes_answered = chance.random() < 0.95
        world.absences = []
        changes: dict[str, object] = {}
        event = chance.random()
        if event < 0.03:
            kind = chance.choice([kind for kind in AbsenceType.values() if kind])
            world.absences = [Absence(replica="a", type=kind)]
        elif event < 0.05:
            world.replicas[0] = Replica("a", started=world.replicas[0].started + 1)
        elif event < 0.07:
            changes["readings"] = []
        elif event < 0.09:
            changes["observed_seconds"] = chance.choice([0.0, 2.0, 500.0])
        elif event < 0.15:
            _command(world, chance)
        world.look(**changes)
    return world.journal.entries


def _command(world: World, chance: Random) -> None:
    verb = chance.choice([commands.pause, commands.resume, commands.promote, commands.report_incident])
    more = {"incident_id": "i1", "critical": False, "description": "smoke"} if verb is commands.report_incident else {}
    try:
        world.journal.command(verb, reason="because", **more)
    except CommandRefused:
        return


def _with_durations(seed: int, chance: Random) -> Journal:
    slower = simulation.Variant(error=chance.choice([0.0008, 0.01]), p99_seconds=chance.uniform(0.1, 0.2))
    world = simulation.World(per_second=chance.choice([20, 200]), candidate=slower, watch_ticks=5, onset_seconds=30)
    spec = with_defaults(load_spec(DURATIONS_PLAN, "durations.yaml"))
    run = simulation._Run(spec, world, np.random.default_rng(seed), Operator.ACCEPT)
    run.rehearsal = Rehearsal(spec, simulation.START, operator=Operator.ACCEPT)
    run.ending()
    return run.rehearsal.entries


def packed(journals: Iterable[Journal]) -> bytes:
    """Journals as bytes, each with its length before it."""
    parts = [ListEntriesResponse(entries=journal).SerializeToString(deterministic=True) for journal in journals]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def unpacked(data: bytes) -> list[Journal]:
    """The journals of `packed`."""
    found = []
    while data:
        size = int.from_bytes(data[:4], "big")
        found.append(list(ListEntriesResponse.FromString(data[4 : 4 + size]).entries))
        data = data[4 + size :]
    return found


def digest(journal: Journal) -> str:
    """SHA-256 of its entries."""
    return hashlib.sha256(packed([journal])).hexdigest()


def corpus(version: str) -> Path:
    """The file of a release."""
    return HERE / f"journals-{version}.binpb.gz"


def replay_all(file: Path) -> None:
    """Print NumPy's dispatch and, for each journal of a file, the digest of its replay."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    print(",".join(name for name in __cpu_dispatch__ if __cpu_features__[name]))
    for journal in unpacked(file.read_bytes()):
        print(digest(replay(journal)))


if __name__ == "__main__":
    if sys.argv[1:]:
        replay_all(Path(sys.argv[1]))
    else:
        target = corpus(__version__)
        target.write_bytes(gzip.compress(packed(made(seed) for seed in range(IN_THE_CORPUS)), mtime=0))
        print(target)
