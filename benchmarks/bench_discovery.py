"""How much of the learners' true kinds discovery finds, by noise level: adjusted Rand index, as a Markdown table.

    python benchmarks/bench_discovery.py [--learners 20000] [--seeds 5]

The generator's kinds are behaviours that never mention a trait, so nothing here is tuned to the answer. One column asks
for as many cohorts as there are kinds, one for `k="auto"`, and one says how many cohorts that was. 1 is a perfect
match, 0 is chance; at noise 1 behaviour says nothing about kind and the index must be 0.
"""

from __future__ import annotations

import argparse
import statistics

import numpy as np
import pyarrow as pa

from covey.agreement import adjusted_rand_index
from covey.events import Events
from covey.generate import GenerationPlan, event_tables
from covey.generate_kinds import KIND_NAMES
from covey.traits import Traits

NOISE_LEVELS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def generated_traits(plan: GenerationPlan) -> tuple[Traits, np.ndarray]:
    """The traits of generated learners and their true kinds."""
    tables, kinds = zip(*event_tables(plan), strict=True)
    return Events.from_arrow(pa.concat_tables(tables)).traits(), np.concatenate(kinds)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--learners", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    kind_count = len(KIND_NAMES)
    print(f"{arguments.learners:,} learners, 8 weeks, {kind_count} kinds; median of {arguments.seeds} seeds (range)")
    print()
    print(f"| noise | ARI, k = {kind_count} | ARI, k = auto | k chosen | silhouette, auto |")
    print("|---|---|---|---|---|")
    for noise in NOISE_LEVELS:
        given, auto, chosen, silhouettes = [], [], [], []
        for seed in range(arguments.seeds):
            plan = GenerationPlan(learner_count=arguments.learners, seed=seed, noise=noise)
            traits, kinds = generated_traits(plan)
            given.append(adjusted_rand_index(traits.discover(k=kind_count, seed=seed).labels, kinds))
            cohorts = traits.discover(seed=seed)
            auto.append(adjusted_rand_index(cohorts.labels, kinds))
            chosen.append(len(cohorts))
            silhouettes.append(cohorts.quality.silhouette or 0.0)
        ks = "/".join(str(k) for k in sorted(set(chosen)))
        print(
            f"| {noise} | {spread(given)} | {spread(auto)} | {ks} | {statistics.median(silhouettes):.3f} |", flush=True
        )


def spread(values: list[float]) -> str:
    """Median and range."""
    low, middle, high = (round(value, 3) + 0.0 for value in (min(values), statistics.median(values), max(values)))
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
