"""What a look costs: decide() on a large plan, and the replay of six hours of looks.

    python benchmarks/bench_decide.py [--ticks 720]

A plan of 20 criteria, two of them over 8 segments, with 4 triggers, 100 learner shards and durations on both sides.
Prints processor time, which other work on the machine disturbs least, as the best of the batches. No claim about
speed against a rival is made here; the promises are 1 ms per decide() and 1 s per replay.

What timing the functions says: nothing is hot. Of a look while a phase dwells, about

    the record of the look (one copy, sorted)                       9 %
    both pages: counters, shards, durations, differences           21 %
    gates: triggers, criteria, bursts, learners                    31 %
    outcomes: what cannot be true 7, effects in all segments 13    20 %
    the state after it, questions, reasons to hold                 19 %

and the interpreter is most of each. Formulas on small arrays were nine tenths NumPy's price of a call, for each step of
each formula; they are compiled (docs/decisions/018-compiled-statistics.md). Triggers and criteria compare only the rows
that have a comparison; a page is read once and looked at closer only where it cannot be plain; results are weighed as
arrays, and verdicts, with their intervals and sentences, are made where an entry shows them. Old and new in turn on a
quiet machine: from 1.11 to 0.72 ms in a dwelling phase, and from 2.17 to 1.10 ms where every criterion is judged; on a
newer machine 0.48 and 0.67 ms, and six hours of looks are replayed in 0.36 and 0.50 s.
"""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime, timedelta

import numpy as np

from covey.rollout import commands
from covey.rollout.decide import decide
from covey.rollout.evidence import Evidence
from covey.rollout.replay import replay
from covey.rollout.spec import load_spec
from covey.rollout.state import RolloutState, apply
from covey.rollout.units import timestamp_of
from covey.v1.evidence_pb2 import LearnerCount, OutcomeMoments, ProbeCounts, ReplicaReading
from covey.v1.journal_pb2 import Entry

SEGMENTS = tuple(f"segment-{number}" for number in range(8))
EDGES = tuple(float(edge) for edge in np.geomspace(0.001, 10.0, 60))
SHARDS = 100
BATCH = 60
CRITERIA = (
    "error_rate < 2 %",
    "availability > 99 %",
    *(f"p99 < {limit} ms" for limit in range(200, 280, 10)),
    *(f"p95 < {limit} ms" for limit in range(100, 140, 10)),
    "mismatch < 1 %",
    "p99 not worse than baseline",
    "revenue > -3 %",
    "engagement > -3 %",
    "segments(engagement) < 5 %",
    "segments(revenue) < 5 %",
)
TRIGGERS = ("error_rate > 5 %", "p99 > 400 ms", "availability < 95 %", "p99 worse than baseline")
PLAN = f"""
target: analyzer
baseline: reference
candidate: native
tick_interval: 30s
phases:
  - name: canary
    traffic_share: 10 %
    hold: {{hold}}
    max_hold: 100d
    criteria:
{chr(10).join(f"      - {statement}" for statement in CRITERIA)}
triggers:
{chr(10).join(f"  - {statement}" for statement in TRIGGERS)}
"""


class Traffic:
    """A journal, and looks whose numbers come from a seed."""

    def __init__(self, hold: str) -> None:
        self.now = datetime(2026, 5, 4, 8, 0, tzinfo=UTC)
        self.random = np.random.default_rng(1)
        self.entries: list[Entry] = []
        self.state: RolloutState | None = None
        self.decide_seconds: list[float] = []
        spec = load_spec(PLAN.format(hold=hold), "plan")
        self.append(commands.create("rollouts/bench", "uid", spec), epoch=0)
        self.append(commands.start(self.whole, self.now), epoch=0)
        self.page = ReplicaReading(replica="a", server_start_time_seconds=1.0)
        spec, zeros = self.whole.spec, [0] * SHARDS
        for variant in (spec.candidate, spec.baseline):
            counters = self.page.variants.add(variant=variant)
            for limit in self.whole.plan.limits_seconds:
                counters.over_limits.add(limit_seconds=limit)
            self.page.shards.add(variant=variant, request_counts=zeros, error_counts=zeros, unavailable_counts=zeros)
            self.page.durations.add(variant=variant, edges_seconds=EDGES, request_counts=[0] * (len(EDGES) + 1))

    @property
    def whole(self) -> RolloutState:
        """The state, which is there from the first entry on."""
        assert self.state is not None
        return self.state

    def append(self, entries: list[Entry], *, epoch: int) -> None:
        """Stamps entries as a server does and folds them."""
        for entry in entries:
            entry.sequence, entry.epoch = len(self.entries) + 1, epoch
            entry.time.CopyFrom(timestamp_of(self.now))
            self.state = apply(self.state, entry)
            self.entries.append(entry)

    def tick(self) -> None:
        """One look, with decide() timed."""
        state = self.whole
        self.now += timedelta(seconds=30)
        self.page.candidate_weight_bp = state.candidate_weight_bp
        for index, requests in enumerate((1000, 9000)):
            self.serve(index, requests)
        self.page.shadow.equal_count += 100
        evidence = Evidence(
            30.0,
            self.now,
            readings=[self.page],
            probes=[
                ProbeCounts(replica="a", variant=counters.variant, answered_count=6) for counters in self.page.variants
            ],
            outcomes=self.outcomes(),
            learners=[
                LearnerCount(variant=counters.variant, learner_count=count)
                for counters, count in zip(self.page.variants, (10_000, 90_000), strict=True)
            ],
        )
        began = time.process_time()
        entries = decide(state.spec, state, evidence, self.now)
        self.decide_seconds.append(time.process_time() - began)
        self.append(entries, epoch=1)

    def serve(self, index: int, requests: int) -> None:
        """Counts that many requests of a variant."""
        counters, shards, durations = (
            self.page.variants[index],
            self.page.shards[index],
            self.page.durations[index],
        )
        errors = self.random.binomial(requests // SHARDS, 0.005, SHARDS)
        counters.request_count += requests
        counters.error_count += int(errors.sum())
        for over in counters.over_limits:
            over.request_count += int(self.random.binomial(requests, 0.002))
        by_edge = self.random.multinomial(requests, np.full(len(EDGES) + 1, 1 / (len(EDGES) + 1)))
        for counts, more in (
            (shards.request_counts, np.full(SHARDS, requests // SHARDS)),
            (shards.error_counts, errors),
            (durations.request_counts, by_edge),
        ):
            counts[:] = (np.array(counts) + more).tolist()

    def outcomes(self) -> list[OutcomeMoments]:
        """Moments of every outcome, variant and segment at this look."""
        spec, tick = self.whole.spec, len(self.decide_seconds)
        return [
            OutcomeMoments(
                metric=metric,
                variant=variant,
                segment=segment,
                learner_count=1000 + tick,
                sum=10.0 + number / 10,
                sum_of_squares=1000.0 + tick,
                center=2.0,
                nonzero_count=900,
                covariate="before",
                covariate_sum=5.0,
                covariate_sum_of_squares=900.0,
                cross_sum=300.0,
            )
            for metric in ("engagement", "revenue")
            for variant in (spec.candidate, spec.baseline)
            for number, segment in enumerate(("", *SEGMENTS))
        ]


def best(seconds: list[float]) -> float:
    """Mean of the best batch."""
    batches = [seconds[start : start + BATCH] for start in range(0, len(seconds) - BATCH + 1, BATCH)]
    return min(float(np.mean(batch)) for batch in batches)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ticks", type=int, default=720)
    ticks = parser.parse_args().ticks
    rows = []
    for name, hold in (("while a phase dwells", "10d"), ("while it holds, every criterion judged", "1m")):
        traffic = Traffic(hold)
        for _ in range(ticks):
            traffic.tick()
        assert traffic.whole.in_phase, traffic.whole.explanation
        rows.append((f"decide(), {name}", f"{best(traffic.decide_seconds) * 1e3:.3f} ms"))
        copies = [Entry.FromString(entry.SerializeToString()) for entry in traffic.entries]
        began = time.process_time()
        again = replay(copies)
        took = time.process_time() - began
        assert again == traffic.entries
        rows.append((f"replay of {ticks} ticks, {name}", f"{took:.2f} s"))
    for row in rows:
        print(f"{row[0]:<66}{row[1]:>12}")


if __name__ == "__main__":
    main()
