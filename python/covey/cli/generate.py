"""`covey generate`: events of made-up learners."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from covey.cli.output import OutputFormat, OutputOption

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
    output: OutputOption = OutputFormat.table,
) -> None:
    """Write events of made-up learners of known kinds."""
    from covey.cli.output import ProgressLine, print_data, print_text
    from covey.generate import GenerationPlan, kinds_path, write_parquet

    plan = GenerationPlan(learner_count=learners, weeks=weeks, seed=seed, noise=noise)
    with ProgressLine() as progress:
        row_count = write_parquet(
            plan, path, with_kinds, lambda done, total: progress.update("generate", done, total, "learners")
        )
    kinds = kinds_path(path) if with_kinds else None
    if output is not OutputFormat.table:
        made = {"path": str(path), "event_count": row_count, "learner_count": learners, "weeks": weeks, "seed": seed}
        print_data(made | ({"kinds_path": str(kinds)} if kinds else {}), output)
        return
    print_text(f"{path}: {row_count:,} events of {learners:,} learners")
    if kinds:
        print_text(f"{kinds}: their kinds")
