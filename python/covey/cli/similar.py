"""`covey similar`: the nearest learners in trait space."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from covey.cli import columns
from covey.cli import together_arguments as shared
from covey.cli.bundles import bundled
from covey.cli.output import OutputFormat, OutputOption

if TYPE_CHECKING:
    from covey.events_mapping import EventMapping

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_QUESTION, _ANSWER = shared.QUESTION, shared.ANSWER


def _conditions(texts: list[str] | None) -> dict[str, str]:
    found = {}
    for text in texts or ():
        name, sign, value = text.partition("=")
        if not (name and sign):
            raise typer.BadParameter(f"'{text}' is not of the form COLUMN=VALUE")
        found[name] = value
    return found


@app.command()
@bundled("mapping", columns.mapping_of)
def similar(
    path: columns.EventsPath,
    mapping: EventMapping,
    of: Annotated[
        list[str] | None, typer.Option(help="A learner's id; once for each.", rich_help_panel=_QUESTION)
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Neighbours of each.", rich_help_panel=_QUESTION)] = 10,
    about: shared.About = None,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=VALUE", help="Only among these.", rich_help_panel=_QUESTION),
    ] = None,
    same: shared.Same = None,
    max_distance: Annotated[
        float | None, typer.Option(help="In trait space, 0 to 1.", rich_help_panel=_QUESTION)
    ] = None,
    floor: Annotated[int, typer.Option(min=1, help="Name nobody where fewer match.", rich_help_panel=_QUESTION)] = 10,
    as_of: shared.AsOf = None,
    k: shared.CohortCount = "auto",
    seed: shared.Seed = 0,
    threads: shared.Threads = None,
    save: Annotated[
        Path | None, typer.Option(help="Write learner, rank, neighbour, distance to Parquet.", rich_help_panel=_ANSWER)
    ] = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """The nearest learners in trait space: exact, filtered, and withheld where too few match."""
    from covey.cli.output import CommandError, ProgressLine, print_data
    from covey.together import find_similar

    conditions = _conditions(where)
    if not of and save is None:
        raise typer.BadParameter("name learners with --of ID, or write the neighbours of all with --save FILE.parquet")
    with ProgressLine() as progress:
        events = columns.read_events(path, mapping, progress)
        names = [*conditions, *(same or ())]
        space = shared.space_of(events, about, names, as_of=as_of, k=k, seed=seed, threads=threads)
        found = find_similar(
            space, of or None, count, where=conditions, same=same or (), max_distance=max_distance, floor=floor,
            threads=threads,
        )  # fmt: skip
    if found.is_withheld.all():
        raise CommandError(
            f"fewer than {floor} other learners match, so that nobody is named; ask for less in common, or for a "
            "larger distance, or lower --floor where everybody may know who is alike"
        )
    if save is not None:
        import pyarrow.parquet as pq

        pq.write_table(found.to_arrow(), save)
    if output is OutputFormat.table:
        _print(found, is_named=bool(of))
    else:
        print_data(_as_data(found, is_named=bool(of)), output)


def _as_data(found: Any, *, is_named: bool) -> dict[str, Any]:
    data: dict[str, Any] = {
        "learner_count": len(found.space),
        "floor": found.floor,
        "asked_count": len(found),
        "withheld_count": int(found.is_withheld.sum()),
    }
    if is_named:
        ids = found.space.learner_ids
        data["learners"] = [
            {
                "learner_id": ids.text(int(position)),
                "is_withheld": bool(found.is_withheld[row]),
                "neighbours": [
                    {"learner_id": ids.text(int(near)), "distance": float(far)}
                    for near, far in zip(found.neighbours[row], found.distances[row], strict=True)
                    if near >= 0
                ],
            }
            for row, position in enumerate(found.learners)
        ]
    return data


def _print(found: Any, *, is_named: bool) -> None:
    from covey.cli.output import counted, print_table, print_wrapped

    data = _as_data(found, is_named=is_named)
    print_wrapped(
        f"{counted(data['asked_count'], 'learner', 'learners')} among {data['learner_count']:,}; withheld for "
        f"{data['withheld_count']:,} of whose filters fewer than {found.floor} others match."
        if data["withheld_count"]
        else f"{counted(data['asked_count'], 'learner', 'learners')} among {data['learner_count']:,}."
    )
    if is_named:
        rows = [
            [own["learner_id"], str(rank), near["learner_id"], f"{near['distance']:.4f}"]
            for own in data["learners"]
            for rank, near in enumerate(own["neighbours"], 1)
        ]
        print_table(["learner", "rank", "neighbour", "distance"], rows, left=frozenset({0, 2}))
