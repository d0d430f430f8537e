"""`covey groups`: study groups under constraints, judged against groups by chance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from covey.cli import columns
from covey.cli import together_arguments as shared
from covey.cli.bundles import bundled
from covey.cli.output import OutputFormat, OutputOption
from covey.together.groups import Compose, Friends

if TYPE_CHECKING:
    from covey.events_mapping import EventMapping

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_QUESTION, _ANSWER = shared.QUESTION, shared.ANSWER


@app.command()
@bundled("mapping", columns.mapping_of)
def groups(
    path: columns.EventsPath,
    mapping: EventMapping,
    smallest: Annotated[int, typer.Option(min=2, help="Learners of a group.", rich_help_panel=_QUESTION)] = 15,
    largest: Annotated[int, typer.Option(min=2, help="Learners of a group.", rich_help_panel=_QUESTION)] = 30,
    most: Annotated[int | None, typer.Option(min=1, help="Groups there may be.", rich_help_panel=_QUESTION)] = None,
    compose: Annotated[
        Compose, typer.Option(help="People alike, or every group a mixture.", rich_help_panel=_QUESTION)
    ] = Compose.alike,
    about: shared.About = None,
    same: shared.Same = None,
    mix_by: Annotated[
        str | None,
        typer.Option(help="What mixed groups have in equal shares; archetype.", rich_help_panel=_QUESTION),
    ] = None,
    friends: Annotated[
        str | None,
        typer.Option(metavar="PATH:A:B", help="Parquet or CSV table of friendships.", rich_help_panel=_QUESTION),
    ] = None,
    friendship: Annotated[Friends, typer.Option(help="A wish, or a must.", rich_help_panel=_QUESTION)] = Friends.prefer,
    friend_weight: Annotated[
        float, typer.Option(min=0.0, help="Of a wish, against likeness or mixture.", rich_help_panel=_QUESTION)
    ] = 1.0,
    partial: Annotated[
        bool, typer.Option("--partial", help="Leave out whom no group can hold.", rich_help_panel=_QUESTION)
    ] = False,
    as_of: shared.AsOf = None,
    k: shared.CohortCount = "auto",
    seed: shared.Seed = 0,
    threads: shared.Threads = None,
    save: Annotated[
        Path | None, typer.Option(help="Write learner and group to Parquet.", rich_help_panel=_ANSWER)
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write a folder: report.md and its picture.", rich_help_panel=_ANSWER)
    ] = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Study groups of people alike or mixed, under constraints, judged against groups by chance."""
    from covey.about_learners import read_table
    from covey.cli.output import ProgressLine, print_data
    from covey.together.files import edges_of
    from covey.together.groups import Wanted, form_groups
    from covey.together.space import ARCHETYPE

    wanted = Wanted(
        smallest=smallest, largest=largest, compose=compose, same=tuple(same or ()), mix_by=mix_by, most_groups=most,
        is_partial=partial, friends=friendship, friend_weight=friend_weight, seed=seed,
    )  # fmt: skip
    names = list(wanted.same)
    if compose is Compose.mixed:
        names.append(mix_by or ARCHETYPE)
    with ProgressLine() as progress:
        events = columns.read_events(path, mapping, progress)
        space = shared.space_of(events, about, names, as_of=as_of, k=k, seed=seed, threads=threads)
        pairs = None
        if friends is not None:
            edges, one, other = shared.split_path(friends, 3, "PATH:A:B")
            pairs = edges_of(space, read_table(Path(edges)), (one, other), edges)
        found = form_groups(space, wanted, pairs, threads)
    if save is not None:
        import pyarrow.parquet as pq

        pq.write_table(found.to_arrow(), save)
    if report is not None:
        from covey.together.report import write_report

        write_report(found, report)
    if output is OutputFormat.table:
        _print(found)
    else:
        print_data(_as_data(found), output)


def _as_data(found: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "quality": asdict(found.quality),
        "left_out": [{"why": why, "learner_count": count} for why, count in found.left_out],
        "groups": [
            {"group": number, "learner_count": size, "shares": pool}
            for number, (size, pool) in enumerate(zip(found.sizes, found.pools, strict=True))
        ],
    }


def _print(found: Any) -> None:
    from covey.cli.output import counted, print_table, print_text, print_wrapped
    from covey.together import words

    print_wrapped(words.basis(found))
    for why, count in found.left_out:
        print_wrapped(f"Without a group: {counted(count, 'learner', 'learners')}, as {why}.", 2)
    print_text("")
    print_table(words.HEADS, words.rows(found.quality))
    print_wrapped(words.CHANCE.format(draws=found.quality.draw_count))
