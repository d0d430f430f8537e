"""`covey rollout simulate`: how a plan would end on made-up traffic, many times."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from covey.cli.connection import ExitCode, seconds
from covey.cli.output import CommandError, OutputFormat, OutputOption, ProgressLine, print_data, print_table, print_text
from covey.cli.rollout_arguments import operator_of, rollout_app, share_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from covey.rollout.simulation import Ending, World
    from covey.v1.rollout_spec_pb2 import RolloutSpec


@rollout_app.command("simulate")
def simulate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The plan, YAML.", show_default=False)],
    rate: Annotated[str, typer.Option(help="Learner requests of both variants, such as 42/s.", show_default=False)],
    baseline_error: Annotated[str, typer.Option(help="The baseline's share of failed requests.")] = "0.08 %",
    candidate_error: Annotated[str, typer.Option(help="The candidate's; default the baseline's.")] = "",
    latency_factor: Annotated[float, typer.Option(min=0.01, help="The candidate's durations over the baseline's.")] = 1,
    baseline_p99: Annotated[str, typer.Option(help="99 % of the baseline's requests are faster.")] = "120ms",
    onset: Annotated[str, typer.Option(help="When the candidate becomes so, after the first phase began.")] = "0",
    daily: Annotated[float, typer.Option(min=0, max=0.99, help="Amplitude of the daily load, such as 0.5.")] = 0,
    bursts: Annotated[float, typer.Option(min=0, max=0.5, help="Correlation of failures within a tick.")] = 0,
    learners: Annotated[int, typer.Option(min=1, help="Distinct learners of both variants.")] = 10_000,
    seeds: Annotated[int, typer.Option(min=1, max=100_000, help="How many rollouts.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of the first rollout.")] = 1,
    operator: Annotated[str, typer.Option(help="approve: signs phases; accept: open criteria too; nobody.")] = "accept",
    within_ledger: Annotated[
        bool, typer.Option("--within-ledger", help="Without harm: exit 1 unless rollbacks stay within the ledger.")
    ] = False,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Run a plan on made-up traffic in virtual time: how it ends, how soon harm is found, how many learners met it."""
    import numpy as np

    from covey.cli.rollout_check import Checked
    from covey.rollout import simulation

    try:
        world = _world(rate, baseline_error, candidate_error, latency_factor, baseline_p99, onset)
        people = operator_of(operator)
    except ValueError as problem:
        raise CommandError(str(problem), ExitCode.USAGE) from problem
    world = replace(world, daily=daily, bursts=bursts, learners=learners)
    checked = Checked(file)
    if checked.spec is None:
        raise CommandError("\n".join(checked.lines()))
    if within_ledger and world.candidate != world.baseline:
        raise CommandError("--within-ledger is about a candidate that answers as the baseline does", ExitCode.USAGE)
    endings = []
    with ProgressLine() as progress:
        for number in range(seeds):
            progress.update("simulate", number, seeds, "rollouts")
            random = np.random.default_rng([seed, number])
            endings.append(simulation.simulate(checked.spec, world, random, operator=people))
    if output is OutputFormat.table:
        _print(endings)
    else:
        print_data(_document(endings), output)
    if within_ledger:
        _assert_ledger(endings, checked.spec)


def _world(rate: str, error: str, candidate: str, factor: float, p99: str, onset: str) -> World:
    from covey.cli.rollout_plan import parse_rate
    from covey.rollout.simulation import Variant, World

    baseline = Variant(share_of("--baseline-error", error), p99_seconds=seconds(p99, "--baseline-p99").total_seconds())
    baseline = replace(baseline, unavailable=min(baseline.unavailable, baseline.error))
    worse = replace(baseline, p99_seconds=baseline.p99_seconds * factor)
    if candidate:
        worse = replace(worse, error=share_of("--candidate-error", candidate))
    later = 0.0 if onset.strip() in {"", "0"} else seconds(onset, "--onset").total_seconds()
    return World(parse_rate(rate), baseline, worse, later)


def _print(endings: Sequence[Ending]) -> None:
    from covey.report import words

    groups = Counter((e.outcome, e.cause, e.statement, e.phase) for e in endings)
    rows = []
    for (outcome, cause, statement, phase), count in groups.most_common():
        mine = [e for e in endings if (e.outcome, e.cause, e.statement, e.phase) == (outcome, cause, statement, phase)]
        middle = sorted(e.seconds for e in mine)[len(mine) // 2]
        why = statement or cause
        rows.append((outcome.replace("_", " "), phase, why, f"{count * 100 / len(endings):.3g} %", words.about(middle)))
    print_table(("ending", "phase", "by", "share", "median after"), rows, left=frozenset({0, 1, 2}))
    times = sorted(e.since_onset for e in endings if e.since_onset is not None)
    if times:
        quantiles = [words.about(times[min(len(times) - 1, math.floor(part * len(times)))]) for part in (0.1, 0.5, 0.9)]
        print_text(
            f"\nrolled back after the onset: 10 % within {quantiles[0]}, half {quantiles[1]}, 90 % {quantiles[2]}"
        )
    met = sorted(e.learners for e in endings)
    print_text(f"learners that met the candidate: half of the rollouts at most {met[len(met) // 2]:,}, all {met[-1]:,}")


def _assert_ledger(endings: Sequence[Ending], spec: RolloutSpec) -> None:
    from covey.rollout.model import Plan
    from covey.rollout.verify import live

    found = live.within_ledger(endings, Plan.of(spec).ledger.total)
    if not found.holds:
        raise CommandError(str(found))
    print_text(str(found))


def _document(endings: Sequence[Ending]) -> dict[str, Any]:
    return {"rollouts": len(endings), "endings": [asdict(ending) for ending in endings]}
