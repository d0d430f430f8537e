"""What `covey similar` and `covey groups` share: a space of learners from events and a table about them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from covey.cli import columns

if TYPE_CHECKING:
    from covey.together.space import Space

QUESTION = "Question"
ANSWER = "Answer"

About = Annotated[
    str | None,
    typer.Option(
        metavar="PATH:LEARNER", help="Parquet or CSV table about learners, and its id column.", rich_help_panel=QUESTION
    ),
]
Same = Annotated[
    list[str] | None,
    typer.Option(help="Alike in this column of the table, or in cohort or archetype.", rich_help_panel=QUESTION),
]
AsOf = Annotated[str | None, typer.Option(help="ISO 8601 time; the newest event if absent.", rich_help_panel=QUESTION)]
CohortCount = Annotated[
    str, typer.Option("--k", help="Number of cohorts, or auto, where they are asked for.", rich_help_panel=QUESTION)
]
Seed = Annotated[int, typer.Option(min=0, help="Of what is drawn.", rich_help_panel=QUESTION)]
Threads = Annotated[int | None, typer.Option(min=1, help="One per processor if absent.", rich_help_panel=QUESTION)]


def split_path(text: str, parts: int, example: str) -> list[str]:
    """PATH:COLUMN[:COLUMN] in its parts; the path may hold colons.

    Raises:
        typer.BadParameter: it is something else.
    """
    found = text.rsplit(":", parts - 1)
    if len(found) != parts or not all(found):
        raise typer.BadParameter(f"'{text}' is not of the form {example}")
    return found


def space_of(
    events: Any, about: str | None, names: Sequence[str], *, as_of: str | None, k: str, seed: int, threads: int | None
) -> Space:
    """The space of the learners of some events; cohorts are found where `names` ask for them.

    Raises:
        InputError: the table does not fit, or a name is nobody's.
    """
    from covey.about_learners import read_table
    from covey.errors import InputError
    from covey.together.space import ARCHETYPE, COHORT, Space

    instant, count = columns.instant(as_of), columns.cohort_count(k)
    traits = events.traits(instant, threads=threads)
    is_cohort = {COHORT, ARCHETYPE} & set(names)
    space = Space.of(traits.discover(count, seed, threads=threads)) if is_cohort else Space.of(traits)
    foreign = [name for name in dict.fromkeys(names) if name not in (COHORT, ARCHETYPE)]
    if about is not None:
        path, learner = split_path(about, 2, "PATH:LEARNER")
        return space.with_attributes(read_table(Path(path)), learner, foreign, path)
    if foreign:
        raise InputError(
            f"'{foreign[0]}' is neither cohort nor archetype",
            remedy="name a table about the learners with --about PATH:LEARNER",
        )
    return space
