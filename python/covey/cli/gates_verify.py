"""`covey gates verify`: rollouts simulated through the gates' own arithmetic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from covey.cli.output import OutputFormat, OutputOption

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from covey.cli.output import ProgressLine
    from covey.rollout.verify.run import Task, Verification
    from covey.rollout.verify.simulate import Block


def verify(
    full: Annotated[
        bool,
        typer.Option(
            "--full/--smoke",
            help="Every world, 10,000 rollouts where something is promised: minutes. Else a part, in seconds.",
        ),
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write every rate here.")] = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the result here; .svg or .png.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the simulated rollouts.")] = 1,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Processes; one per processor if absent.", show_default=False)
    ] = None,
    output: OutputOption = OutputFormat.table,
    broken: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Simulate rollouts through the gates' own arithmetic; exit status 1 if a promise does not hold.

    Healthy candidates must seldom be rolled back, harmful ones must be found, and one exactly at a limit or margin must
    seldom advance, however often the gates look.
    """
    import os
    import time

    from covey.cli.output import CommandError, ProgressLine, print_data, print_text
    from covey.rollout.verify.gate import Broken
    from covey.rollout.verify.run import tasks_of
    from covey.rollout.verify.run import verify as run_all
    from covey.rollout.verify.words import tables_of

    if picture is not None and picture.suffix not in {".svg", ".png"}:
        raise typer.BadParameter(f"'{picture}' ends neither in .svg nor in .png", param_hint="--picture")
    for option, file in (("--json", json_file), ("--picture", picture)):
        if file is not None and not file.parent.is_dir():
            raise typer.BadParameter(f"there is no folder '{file.parent}'; make it first", param_hint=option)
    if broken is not None and broken not in {fault.value for fault in Broken}:
        raise typer.BadParameter(f"'{broken}' is no fault; expected one of {', '.join(f.value for f in Broken)}")
    tasks = tasks_of(full=full, seed=seed, broken=None if broken is None else Broken(broken))
    workers = processes or os.cpu_count() or 1
    started = time.monotonic()
    with ProgressLine() as progress:
        result = run_all(tasks, full=full, seed=seed, run=lambda some: _run(some, workers, progress))
    seconds = time.monotonic() - started
    _write(result, seconds, json_file, picture)
    if output is OutputFormat.table:
        for line in tables_of(result):
            print_text(line)
        print_text(f"{result.rollouts:,} rollouts in {seconds:.0f} s, seed {seed}")
    else:
        print_data(_data(result, seconds), output)
    if not result.holds:
        broken_worlds = [world.world.name for world in result.results if not world.holds]
        raise CommandError(f"{len(broken_worlds)} worlds in which a promise does not hold: {'; '.join(broken_worlds)}")


def _run(tasks: Sequence[Task], workers: int, progress: ProgressLine) -> Iterator[Block]:
    """The blocks as they come from so many processes."""
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from multiprocessing import get_context

    from covey.rollout.verify.run import Task, run_here

    total, done = sum(task.rollouts for task in tasks), 0
    progress.update("simulate", 0, total, "rollouts")
    if workers == 1:
        for block in run_here(tasks):
            done += block.rollouts
            progress.update("simulate", done, total, "rollouts")
            yield block
        return
    with ProcessPoolExecutor(min(workers, len(tasks)), mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(Task.run, task) for task in tasks]
        try:
            for future in as_completed(futures):
                block = future.result()
                done += block.rollouts
                progress.update("simulate", done, total, "rollouts")
                yield block
        finally:
            pool.shutdown(cancel_futures=True)


def _data(result: Verification, seconds: float) -> dict[str, Any]:
    return {"seconds": round(seconds, 1), **result.as_data()}


def _write(result: Verification, seconds: float, json_file: Path | None, picture: Path | None) -> None:
    """The files that were asked for."""
    import json

    if json_file is not None:
        json_file.write_text(json.dumps(_data(result, seconds), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if picture is not None:
        from covey.report.gates_picture import draw

        draw(result, picture)
