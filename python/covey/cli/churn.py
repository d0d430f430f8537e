"""`covey churn`: learn who is about to leave, score learners, judge a model."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from covey.cli import columns
from covey.cli.bundles import bundled
from covey.cli.output import OutputFormat, OutputOption

if TYPE_CHECKING:
    from covey.churn import Definition, Panel
    from covey.cli.output import ProgressLine
    from covey.events_mapping import EventMapping

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

_QUESTION = "Question"
_ANSWER = "Answer"


class Fit(StrEnum):
    """Kind of model."""

    boosting = "boosting"
    logistic = "logistic"


ModelOption = Annotated[Path, typer.Option("--model", help="JSON that `covey churn train` wrote.", show_default=False)]
EveryOption = Annotated[int, typer.Option(min=1, help="Days between instants.", rich_help_panel=_QUESTION)]
FirstOption = Annotated[
    str | None,
    typer.Option(
        help="ISO 8601 time of the first instant; if absent, when half have come, or the last.",
        rich_help_panel=_QUESTION,
    ),
]
UntilOption = Annotated[
    str | None,
    typer.Option(help="Until when silence was seen; the newest event if absent.", rich_help_panel=_QUESTION),
]
OutcomesOption = Annotated[
    str | None,
    typer.Option(metavar="PATH.parquet:LEARNER:DATE", help="Dates on which learners left.", rich_help_panel=_QUESTION),
]
ThreadsOption = Annotated[
    int | None, typer.Option(min=1, help="One per processor if absent.", rich_help_panel=_QUESTION)
]


@app.command()
@bundled("mapping", columns.mapping_of)
def train(
    path: columns.EventsPath,
    save: Annotated[Path, typer.Option(help="Where the model goes: JSON, no pickle.", show_default=False)],
    mapping: EventMapping,
    horizon: Annotated[int, typer.Option(min=1, help="Days that must pass in silence.", rich_help_panel=_QUESTION)] = (
        28
    ),
    active: Annotated[
        int, typer.Option(min=1, help="Ask about learners active so many days before.", rich_help_panel=_QUESTION)
    ] = 28,
    every: EveryOption = 7,
    first: FirstOption = None,
    observed_until: UntilOption = None,
    outcomes: OutcomesOption = None,
    fit: Annotated[Fit, typer.Option(help="Kind of model.", rich_help_panel=_QUESTION)] = Fit.boosting,
    name: Annotated[str, typer.Option(help="Of the model.", rich_help_panel=_ANSWER)] = "churn",
    model_version: Annotated[int, typer.Option(min=1, help="Of the model.", rich_help_panel=_ANSWER)] = 1,
    test: Annotated[
        list[Path] | None,
        typer.Option(help="Events of another course to judge by. May be repeated.", rich_help_panel=_QUESTION),
    ] = None,
    threads: ThreadsOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Learn who is about to leave; judge on unseen learners, later weeks, other courses."""
    from covey.churn import Definition, Kind, save_model
    from covey.churn import train as train_model
    from covey.cli.churn_report import print_trained, trained_data
    from covey.cli.output import ProgressLine, print_data

    definition = Definition(horizon, active, outcomes is not None)
    with ProgressLine() as progress:
        options = {"every": every, "first": first, "until": observed_until, "outcomes": outcomes, "threads": threads}
        own = _panel(path, mapping, progress, definition, options)
        courses = {
            other.stem: _panel(other, mapping, progress, definition, options | {"first": None, "until": None})
            for other in test or ()
        }
    found = train_model(own, Kind(fit.value), name=name, version=model_version, courses=courses)
    save_model(found.model, save)
    if output is OutputFormat.table:
        print_trained(found, save)
    else:
        print_data(trained_data(found, save), output)


@app.command()
@bundled("mapping", columns.mapping_of)
def score(
    path: columns.EventsPath,
    model: ModelOption,
    mapping: EventMapping,
    as_of: Annotated[
        str | None,
        typer.Option(help="ISO 8601 time, looked at from before; the end if absent.", rich_help_panel=_QUESTION),
    ] = None,
    candidate: Annotated[
        Path | None, typer.Option(help="A new model that answers for a share.", rich_help_panel=_QUESTION)
    ] = None,
    weight_bp: Annotated[
        int, typer.Option(min=0, max=10_000, help="Its share, basis points.", rich_help_panel=_QUESTION)
    ] = 0,
    salt: Annotated[str, typer.Option(help="Of its buckets: the rollout's uid.", rich_help_panel=_QUESTION)] = "",
    top: Annotated[int, typer.Option(min=0, help="Learners to show.", rich_help_panel=_ANSWER)] = 10,
    save: Annotated[Path | None, typer.Option(help="Write all scores to Parquet.", rich_help_panel=_ANSWER)] = None,
    threads: ThreadsOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Score learners who were active: how likely each leaves, and what speaks for it."""
    from covey.churn import load_model
    from covey.churn import score as score_events
    from covey.cli.churn_report import print_scores, scores_data
    from covey.cli.output import ProgressLine, print_data

    instant = columns.instant(as_of)
    stable = load_model(model)
    other = None if candidate is None else load_model(candidate)
    with ProgressLine() as progress:
        events = columns.read_events(path, mapping, progress)
    found = score_events(stable, events, instant, candidate=other, weight_bp=weight_bp, salt=salt, threads=threads)
    if save is not None:
        import pyarrow.parquet as pq

        pq.write_table(found.to_arrow(), save)
    if output is OutputFormat.table:
        print_scores(found, top)
    else:
        print_data(scores_data(found, top), output)


@app.command()
@bundled("mapping", columns.mapping_of)
def report(
    path: columns.EventsPath,
    model: ModelOption,
    to: Annotated[Path, typer.Option(help="Folder for report.md and its picture.", show_default=False)],
    mapping: EventMapping,
    every: EveryOption = 7,
    first: FirstOption = None,
    observed_until: UntilOption = None,
    outcomes: OutcomesOption = None,
    threads: ThreadsOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Judge a model on events whose outcomes are known, and draw what it is worth."""
    from covey.churn import load_model
    from covey.churn.report import caution, write_report
    from covey.cli.churn_report import print_judged, quality_data
    from covey.cli.output import ProgressLine, print_data

    known = load_model(model)
    options = {"every": every, "first": first, "until": observed_until, "outcomes": outcomes, "threads": threads}
    with ProgressLine() as progress:
        own = _panel(path, mapping, progress, known.definition, options, known.parameters)
    found = write_report(known, own, to, path.stem)
    if output is OutputFormat.table:
        print_judged(known, found, path.stem, to, caution(known, own))
    else:
        data = {"model": known.variant, "caution": caution(known, own), **quality_data(found), "written_to": str(to)}
        print_data(data, output)


def _panel(
    path: Path,
    mapping: EventMapping,
    progress: ProgressLine,
    definition: Definition,
    options: dict[str, Any],
    parameters: Any = None,
) -> Panel:
    from covey.churn import panel
    from covey.churn.outcomes import read_outcomes

    return panel(
        columns.read_events(path, mapping, progress),
        definition,
        every_days=options["every"],
        first=columns.instant(options["first"]),
        observed_until=columns.instant(options["until"]),
        outcomes=None if options["outcomes"] is None else read_outcomes(options["outcomes"]),
        parameters=parameters,
        threads=options["threads"],
        progress=progress.update,
    )
