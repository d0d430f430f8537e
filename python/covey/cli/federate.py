"""`covey federate`: cohorts over several regions whose learners stay where they are."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from covey.cli.addressed import clients
from covey.cli.bundles import bundled
from covey.cli.columns import given_instant
from covey.cli.connection import PANEL
from covey.cli.output import CommandError, OutputFormat, OutputOption

if TYPE_CHECKING:
    from covey.client import Client
    from covey.cohort_model import CohortModel
    from covey.v1 import cohorts_pb2

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)

Regions = Annotated[
    list[str], typer.Option("--region", metavar="NAME=HOST:PORT", help="A region's data port; once for each.")
]
Timeout = Annotated[str, typer.Option(help="How long a question may take.", rich_help_panel=PANEL)]


@app.callback()
def _federate() -> None:
    """Cohorts over several regions: events, ids and single learners stay where they are."""


@app.command()
@bundled("client_of", clients)
def discover(
    region: Regions,
    client_of: Callable[[str, str], Client],
    dataset: Annotated[str, typer.Option(help="Of every region; the learners of datasets/{dataset}.")],
    as_of: Annotated[str, typer.Option(help="ISO 8601; the same instant for all regions.")],
    k: Annotated[int, typer.Option("-k", "--cohorts", min=1, max=64, help="Number of cohorts.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of every choice.")] = 0,
    minimum_group: Annotated[int, typer.Option(min=50, help="Learners that a sum is about, at the least.")] = 50,
    attempts: Annotated[int, typer.Option(min=1, max=100, help="Runs from other centroids; the best wins.")] = 8,
    save_as: Annotated[str, typer.Option(help="Keep the model in every region as cohortModels/{this}.")] = "",
    timeout: Timeout = "60s",
    output: OutputOption = OutputFormat.table,
) -> None:
    """One discovery over all regions: only masked sums travel, and each region lists what it said."""
    from covey.cli.output import ProgressLine
    from covey.client.federation import RemoteRegion
    from covey.errors import InputError
    from covey.federation import Federation, RegionRefusedError, discover_without_learners
    from covey.v1 import federation_pb2

    places = _places(region)
    given = given_instant(as_of)
    moment = given if given.tzinfo else given.replace(tzinfo=UTC)
    run = f"run-{uuid.uuid4()}"
    with ExitStack() as stack:
        regions = {}
        for name, address in places.items():
            client = stack.enter_context(client_of(address, timeout))
            request = federation_pb2.OpenRegionRequest(
                run=run, region=name, dataset=f"datasets/{dataset.removeprefix('datasets/')}",
                minimum_group_size=minimum_group,
            )  # fmt: skip
            request.as_of.FromDatetime(moment)
            regions[name] = RemoteRegion(client, request)
        try:
            with ProgressLine() as progress, Federation(regions, minimum_group) as federation:
                found = discover_without_learners(
                    federation.ask,
                    k,
                    seed,
                    minimum_group_size=minimum_group,
                    attempts=attempts,
                    progress=progress.update,
                )
                if save_as:
                    message = _message(found, save_as, moment)
                    for each in regions.values():
                        each.close(message)
        except RegionRefusedError as refused:
            raise CommandError(
                f"{refused}\nNothing can be read of what the other regions said. Run it again once the region answers, "
                "or without it"
            ) from refused
        except InputError as error:
            raise CommandError(str(error)) from error
    _print(found, sorted(places), run, output)


@app.command()
@bundled("client_of", clients)
def audit(
    region: Regions,
    client_of: Callable[[str, str], Client],
    run: Annotated[str, typer.Option(help="Only of this run.")] = "",
    timeout: Timeout = "10s",
    output: OutputOption = OutputFormat.table,
) -> None:
    """What has left a region: each answer, who asked, how many numbers."""
    from covey.cli.connection import plain
    from covey.cli.output import print_data, print_table
    from covey.client import CallFailed

    rows: list[dict[str, Any]] = []
    for address in _places(region).values():
        with client_of(address, timeout) as client:
            try:
                rows += [plain(answer) for answer in client.list_region_answers(run)]
            except CallFailed as failure:
                raise CommandError(str(failure)) from failure
    if output is not OutputFormat.table:
        print_data(rows, output)
        return
    print_table(
        ["time", "region", "asked by", "no.", "question", "numbers", "digest"],
        [
            [row["time"][:19], row["region"], row["actor"], row["number"], row["question"], str(row["number_count"]),
             row["digest"][:10]]
            for row in rows
        ],
    )  # fmt: skip


def _places(regions: list[str]) -> dict[str, str]:
    places: dict[str, str] = {}
    for text in regions:
        name, sign, address = text.partition("=")
        if not (name and sign and address):
            raise typer.BadParameter(f"'{text}' is not of the form NAME=HOST:PORT", param_hint="--region")
        if name in places:
            raise typer.BadParameter(f"{name} is given twice", param_hint="--region")
        places[name] = address
    return places


def _message(found: CohortModel, name: str, moment: datetime) -> cohorts_pb2.CohortModel:
    from covey.cohort_message import cohort_model_message

    message = cohort_model_message(found, f"cohortModels/{name.removeprefix('cohortModels/')}")
    message.as_of.FromDatetime(moment)
    message.create_time.FromDatetime(datetime.now(UTC))
    return message


def _print(found: CohortModel, regions: list[str], run: str, output: OutputFormat) -> None:
    from covey.cli.output import counted, print_data, print_table, print_wrapped
    from covey.parameters import TRAIT_NAMES

    rows = [
        {
            "cohort": row.index,
            "archetype": row.archetype,
            "learners": row.size,
            "share": row.share,
            **dict(zip(TRAIT_NAMES, (float(mean) for mean in row.mean_traits), strict=True)),
        }
        for row in found.cohorts
    ]
    if output is not OutputFormat.table:
        quality = {"inertia": found.quality.inertia, "converged": found.quality.converged}
        print_data({"run": run, "regions": regions, "quality": quality, "cohorts": rows}, output)
        return
    total = sum(row.size for row in found.cohorts)
    print_wrapped(f"{counted(total, 'learner', 'learners')} of {', '.join(regions)}, who stayed there; run {run}.")
    print_table(
        ["", "archetype", "learners", "share", "veloc.", "affin.", "freq.", "feedb.", "retent."],
        [
            [str(row.index), row.archetype, f"{row.size:,}", f"{row.share:.1%}", *(f"{m:.3f}" for m in row.mean_traits)]
            for row in found.cohorts
        ],
    )
