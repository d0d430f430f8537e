"""`covey tune`: constants for an objective, judged on learners held out, and a rollout that must prove them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from covey.cli import columns
from covey.cli import together_arguments as shared
from covey.cli.bundles import bundled
from covey.cli.output import OutputFormat, OutputOption
from covey.tune.objectives import Goal

if TYPE_CHECKING:
    from covey.events_mapping import EventMapping

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_QUESTION, _ANSWER = shared.QUESTION, shared.ANSWER


class Turned(StrEnum):
    """What is tuned."""

    parameters = "parameters"
    weights = "weights"
    k = "k"


def _cohorts(text: str) -> tuple[int, int]:
    low, dash, high = text.partition("-")
    try:
        return int(low), int(high if dash else low)
    except ValueError:
        raise typer.BadParameter(f"'{text}' is no range of numbers of cohorts, such as 2-12") from None


@app.command()
@bundled("mapping", columns.mapping_of)
def tune(
    path: columns.EventsPath,
    objective: Annotated[Goal, typer.Argument(help="What is to be good.", show_default=False)],
    mapping: EventMapping,
    outcome: Annotated[
        str | None,
        typer.Option(
            metavar="PATH:LEARNER:VALUE", help="Table of outcomes, a row per learner.", rich_help_panel=_QUESTION
        ),
    ] = None,
    turn: Annotated[
        list[Turned] | None, typer.Option(help="Only this; once for each.", rich_help_panel=_QUESTION)
    ] = None,
    cohorts: Annotated[str, typer.Option(metavar="2-12", help="Numbers of them.", rich_help_panel=_QUESTION)] = "2-12",
    base_k: Annotated[
        int, typer.Option("--k", min=2, help="Cohorts of the default it is compared with.", rich_help_panel=_QUESTION)
    ] = 4,
    trials: Annotated[
        int, typer.Option(min=24, help="Configurations tried for each choice.", rich_help_panel=_QUESTION)
    ] = 60,
    folds: Annotated[int, typer.Option(min=3, max=20, help="Outer folds.", rich_help_panel=_QUESTION)] = 5,
    about: shared.About = None,
    by: Annotated[
        str | None, typer.Option(help="Try parameters of their own for segments.", rich_help_panel=_QUESTION)
    ] = None,
    as_of: shared.AsOf = None,
    confidence: Annotated[
        float, typer.Option(min=0.5, max=0.999, help="Of the limits.", rich_help_panel=_QUESTION)
    ] = 0.95,
    seed: shared.Seed = 0,
    threads: shared.Threads = None,
    folder: Annotated[
        Path | None,
        typer.Option("--directory", help="Write the variant and its rollout, if shown.", rich_help_panel=_ANSWER),
    ] = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="Write them in any case.", rich_help_panel=_ANSWER)] = False,
    name: Annotated[str, typer.Option(help="Of the variant.", rich_help_panel=_ANSWER)] = "tuned",
    baseline: Annotated[
        str, typer.Option(help="What it is rolled out against.", rich_help_panel=_ANSWER)
    ] = "variants/native",
    prove: Annotated[
        str, typer.Option(help="What the rollout must show of an outcome.", rich_help_panel=_ANSWER)
    ] = "engagement > 0 %",
    report: Annotated[
        Path | None, typer.Option(help="Write a folder: report.md and its pictures.", rich_help_panel=_ANSWER)
    ] = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Tune trait parameters, weights and the number of cohorts; judge the gain on learners held out."""
    from covey.about_learners import read_table
    from covey.cli.output import CommandError, ProgressLine, print_data
    from covey.errors import InputError
    from covey.tune import Configuration, Knobs, Problem, tune_segments
    from covey.tune import tune as tune_all
    from covey.tune.files import check_names, write_files

    if folder is not None:
        check_names(name, baseline, prove)  # what is wrong with them is said before the work
    fewest, most = _cohorts(cohorts)
    knobs = Knobs(Configuration.default(base_k), tuple(own.value for own in turn or Turned), fewest, most)
    if objective is Goal.outcome and as_of is None:
        raise typer.BadParameter(
            "an outcome needs --as-of: say until when events are looked at; outcomes must come after it"
        )
    if (by is None) != (about is None):
        raise typer.BadParameter("segments are named by --by COLUMN of a table --about PATH:LEARNER: give both")
    outcomes = None
    if outcome is not None:
        file, key, value = shared.split_path(outcome, 3, "PATH:LEARNER:VALUE")
        table = read_table(Path(file))
        for column in (key, value):
            if column not in table.column_names:
                raise InputError("there is no such column", source=file, column=column)
        outcomes = table.select([key, value])
    segments = None
    with ProgressLine() as progress:
        events = columns.read_events(path, mapping, progress)
        problem = Problem.of(events, objective, columns.instant(as_of), outcomes, threads)
        found = tune_all(
            problem, knobs, trials=trials, folds=folds, seed=seed, confidence=confidence, progress=progress.update
        )
        if by is not None:
            space = shared.space_of(events, about, [by], as_of=as_of, k="2", seed=seed, threads=threads)
            segments = tune_segments(
                found, knobs, space.attribute(by), folds=folds, alpha=1 - confidence, progress=progress.update
            )
    is_written = folder is not None and (found.gain.is_shown or anyway)
    if folder is not None and is_written:
        write_files(found, folder, name, baseline, prove)
    if report is not None:
        from covey.tune.report import write_report

        write_report(found, segments, report, path.stem)
    if output is OutputFormat.table:
        _print(found, segments, folder if is_written else None)
    else:
        print_data(_as_data(found, segments), output)
    if folder is not None and not is_written:
        raise CommandError("no gain was shown, so that nothing was written; --anyway writes it all the same", 3)


def _configuration(own: Any) -> dict[str, Any]:
    from dataclasses import asdict

    from covey.parameters import TRAIT_NAMES

    return {
        "trait_parameters": asdict(own.parameters),
        "trait_weights": dict(zip(TRAIT_NAMES, own.weights, strict=True)),
        "cohort_count": own.k,
    }


def _gain(own: Any) -> dict[str, Any]:
    return {
        "default": float(own.default.mean()),
        "tuned": float(own.tuned.mean()),
        "gain": own.mean,
        "low": own.low,
        "high": own.high,
        "p_value": own.p_value,
        "is_shown": bool(own.is_shown),
    }


def _as_data(found: Any, segments: Any) -> dict[str, Any]:
    data = {
        "objective": str(found.problem.goal),
        "score": found.problem.unit,
        "learner_count": len(found.problem.known),
        "on_held_out_learners": _gain(found.gain),
        "best": _configuration(found.best),
        "chosen_by_fold": [_configuration(own) for own in found.chosen],
    }
    if segments is not None:
        data["segments"] = [
            {
                "segment": own.name,
                "learner_count": own.learner_count,
                "over_everybodys": None if own.gain is None else _gain(own.gain),
                "adjusted_p": own.adjusted_p,
                "best": None if own.best is None else _configuration(own.best),
            }
            for own in segments
        ]
    return data


def _print(found: Any, segments: Any, folder: Path | None) -> None:
    from covey.cli.output import print_table, print_text, print_wrapped
    from covey.tune import words

    print_wrapped(words.verdict(found))
    print_text("")
    print_table(words.CONSTANT_HEADS, words.constant_rows(found))
    for own in segments or ():
        print_wrapped(words.segment_text(own), 2)
    if folder is not None:
        print_wrapped(f"Written: {folder}/variant.yaml, discovery.yaml, rollout.yaml.")
