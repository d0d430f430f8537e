"""`covey gates aa`: outcomes of real learners, split at random many times without any effect."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from covey.cli.output import OutputFormat

_OUTCOMES = "Outcomes"
_COLUMNS = "Columns of events"
_SPLITS = "Splits"


def _share(option: str, text: str) -> float:
    from covey.rollout.units import parse_share

    try:
        return parse_share(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def aa(
    path: Annotated[Path | None, typer.Argument(help="Events: a Parquet file or folder.", show_default=False)] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="event_count, weight (its sum), active_days, a trait ...; of --outcomes, a column. Again for more.",
            rich_help_panel=_OUTCOMES,
        ),
    ] = None,
    outcomes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="In place of events: a Parquet table of learner_id and numbers, one row per learner.",
            rich_help_panel=_OUTCOMES,
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=20, max=100_000, help="How many splits.", rich_help_panel=_SPLITS)] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the splits.", rich_help_panel=_SPLITS)] = 0,
    share: Annotated[str, typer.Option(help="The candidate's share.", rich_help_panel=_SPLITS)] = "50 %",
    alpha: Annotated[str, typer.Option(help="Of each test, two-sided.", rich_help_panel=_SPLITS)] = "5 %",
    inject: Annotated[str, typer.Option(help="Effect whose detection is tried.", rich_help_panel=_SPLITS)] = "2 %",
    learner: Annotated[str | None, typer.Option(help="Learner ids.", rich_help_panel=_COLUMNS)] = None,
    time: Annotated[str | None, typer.Option(help="Times.", rich_help_panel=_COLUMNS)] = None,
    time_unit: Annotated[
        str | None, typer.Option(help="Unit of numeric times: day, s, ms, us, ns.", rich_help_panel=_COLUMNS)
    ] = None,
    domain: Annotated[str | None, typer.Option(help="Domains.", rich_help_panel=_COLUMNS)] = None,
    domain_from: Annotated[
        str | None,
        typer.Option(
            metavar="PATH:KEY:VALUE", help="Parquet table that gives each KEY its domain.", rich_help_panel=_COLUMNS
        ),
    ] = None,
    capability: Annotated[str | None, typer.Option(help="Capabilities.", rich_help_panel=_COLUMNS)] = None,
    kind: Annotated[str | None, typer.Option(help="Kinds of event.", rich_help_panel=_COLUMNS)] = None,
    action_taken: Annotated[str | None, typer.Option(help="Feedback acted on.", rich_help_panel=_COLUMNS)] = None,
    weight: Annotated[str | None, typer.Option(help="Weights.", rich_help_panel=_COLUMNS)] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads; one per processor if absent.", show_default=False)
    ] = None,
    output: Annotated[OutputFormat, typer.Option(help="Form of the answer.")] = OutputFormat.table,
) -> None:
    """Split real learners at random many times and see whether a test of their outcomes is honest.

    Nothing differs between the arms, so p values must be uniform and 5 % of the splits be rejected. Exit status 1 where
    they are not. Also says which effect these learners would show, and how often the injected one is found.
    """
    from covey.cli.gates_aa_outcomes import outcomes_of_events, outcomes_of_file
    from covey.cli.gates_aa_report import print_report, problems_of
    from covey.engine import thread_count
    from covey.events_mapping import EventMapping
    from covey.rollout.units import basis_points
    from covey.stats.rerandomisation import rerandomisation_check

    if (path is None) == (outcomes is None):
        raise typer.BadParameter("give either events (PATH) or --outcomes FILE")
    level, effect = _share("--alpha", alpha), _share("--inject", inject)
    if not 0 < level <= 0.5:
        raise typer.BadParameter(f"'{alpha}' is no error rate; expected above 0 and at most 50 %", param_hint="--alpha")
    if not -1 < effect < 10 or effect == 0:
        raise typer.BadParameter(f"'{inject}' is no effect; expected such as 2 % or -2 %", param_hint="--inject")
    try:
        points = basis_points(_share("--share", share))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--share") from None
    if not 0 < points < 10_000:
        raise typer.BadParameter(f"'{share}' leaves an arm without learners", param_hint="--share")
    if outcomes is not None:
        found = outcomes_of_file(outcomes, metric or [], learner or "learner_id")
    else:
        assert path is not None
        mapping = EventMapping(
            learner=learner,
            time=time,
            time_unit=time_unit,
            domain=domain,
            capability=capability,
            kind=kind,
            action_taken=action_taken,
            weight=weight,
            domain_from=domain_from,
        )
        found = outcomes_of_events(path, mapping, metric or ["event_count"])
    report = rerandomisation_check(
        found.metrics,
        found.learner_ids.hashes(),
        seed=seed,
        splits=seeds,
        share_basis_points=points,
        alpha=level,
        injected_effect=effect,
        threads=thread_count(threads),
    )
    problems = problems_of(report)
    print_report(report, problems, output)
    if problems:
        raise typer.Exit(1)
