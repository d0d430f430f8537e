"""`covey generate`: events of made-up learners."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def generate(
    path: Annotated[
        Path, typer.Argument(help="The file to write (*.parquet), or a new folder of files.", show_default=False)
    ],
    learners: Annotated[int, typer.Option(help="Number of learners.")] = 10_000,
    weeks: Annotated[int, typer.Option(help="Weeks of events, about seven a week and learner.")] = 8,
    seed: Annotated[int, typer.Option(help="The same seed gives the same events.")] = 0,
    noise: Annotated[
        float, typer.Option(help="0: learners keep to their kind; 1: behaviour says nothing of it.")
    ] = 0.0,
    with_kinds: Annotated[
        bool, typer.Option("--with-kinds", help="Also write the true kinds, to <PATH>.kinds.parquet.")
    ] = False,
) -> None:
    """Write events of made-up learners of known kinds."""
    from covey.cli.output import ProgressLine, print_text
    from covey.generate import GenerationPlan, kinds_path, write_parquet

    plan = GenerationPlan(learner_count=learners, weeks=weeks, seed=seed, noise=noise)
    progress = ProgressLine()
    row_count = write_parquet(
        plan, path, with_kinds, lambda done, total: progress.update("generating", done, total, "learners")
    )
    progress.clear()
    print_text(f"{path}: {row_count:,} events of {learners:,} learners")
    if with_kinds:
        print_text(f"{kinds_path(path)}: their kinds")
