"""What runs in Ray's workers; covey is installed there in the version of the driver."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from covey.distributed.keeper import Keeper, Loaded
from covey.distributed.pieces import part_rows
from covey.distributed.source import Source
from covey.out_of_core_plan import newest_by_reading
from covey.parts.questions import Answer, Conclude, Question


class RayKeeper:
    """A keeper as an actor: every answer comes with the process that gave it, so that lost ones are noticed.

    Ray makes it anew from the same arguments when its process dies, and asks again.
    """

    def __init__(self, kept: Sequence[Any]) -> None:
        """`kept` are references of the `Work` and of the pieces by number.

        The driver holds them as long as this may be made anew: what Ray would keep for itself of larger arguments is
        gone by then.
        """
        import ray

        work, pieces = ray.get(list(kept))
        self._keeper = Keeper(work, pieces, ray.get)

    def load(self, number: int) -> tuple[int, Loaded]:
        """See `Keeper.load`."""
        return os.getpid(), self._keeper.load(number)

    def answer(self, question: Question) -> tuple[int, Answer]:
        """See `Keeper.answer`."""
        return os.getpid(), self._keeper.answer(question)

    def learners(self, number: int, conclude: Conclude) -> tuple[int, Any]:
        """See `Keeper.learners`."""
        return os.getpid(), self._keeper.learners(number, conclude)

    def write(self, number: int, conclude: Conclude, archetypes: tuple[str, ...], folder: str) -> tuple[int, int]:
        """See `Keeper.write`."""
        return os.getpid(), self._keeper.write(number, conclude, archetypes, folder)

    def spilled_count(self) -> tuple[int, int]:
        """See `Keeper.spilled_count`."""
        return os.getpid(), self._keeper.spilled_count


def newest_of_file(source: Source, file: int) -> int:
    """Time of the newest event of a file, from all its rows."""
    return newest_by_reading([source.files[file]], source.mapping)


def parted(source: Source, file: int, row_groups: Sequence[int], part_count: int) -> list[Any]:
    """See `part_rows`: what it says of all rows comes first, then a table per part."""
    tables, newest_us, domains = part_rows(source, file, row_groups, part_count)
    return [(newest_us, domains), *tables]
