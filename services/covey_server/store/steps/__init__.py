"""How the tables of each version become those of the next, and go one step back. The newest step is the last.

A new table needs no step: `Store.create_all` makes what is missing, and an older covey does not look at it. Everything
else that older code would trip over, or that rows in place need, is a step: a file here, a line in `STEPS`, and the
golden state of the release before in tests/golden keeps it honest. A step speaks SQL of its own time and never imports
today's tables, so that it means the same for good.

Where several servers share the tables, they are upgraded one after the other, and for a while two versions of the code
work there. A step that allows this comes in three parts: `expand` adds what the older code does not trip over, `fill`
puts the rows that are there in order, a few at a time, and `forward` ends it, once no older server is left, by what
those wrote meanwhile and by the number of the version, from which on older code is refused. Today's code must then read
tables that are expanded and not yet of its version; one column that is looked at beside the older one does that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from covey_server.store.steps import step_2_hash_chain, step_3_finished_rollouts


@dataclass(frozen=True, slots=True)
class Step:
    """From one version of the tables to the next.

    Attributes:
        version: of the tables afterwards; the step before has one less.
        summary: what is new, for people.
        forward: changes the tables and their rows, in one transaction with the new version number; after `expand` it
            does what is left.
        back: what the version before can live with, in the same way.
        expand: adds what code of the version before does not trip over; done again it changes nothing. None: servers of
            that version must be stopped first.
        fill: puts at most so many rows in order that were there before, or that older servers wrote since; returns how
            many it found.
    """

    version: int
    summary: str
    forward: Callable[[Connection], None]
    back: Callable[[Connection], None]
    expand: Callable[[Connection], None] | None = None
    fill: Callable[[Connection, int], int] | None = None


STEPS = (
    Step(2, "journal entries are chained by their digests", step_2_hash_chain.forward, step_2_hash_chain.back),
    Step(
        3,
        "rollouts that are over are told by an index",
        step_3_finished_rollouts.forward,
        step_3_finished_rollouts.back,
        step_3_finished_rollouts.expand,
        step_3_finished_rollouts.fill,
    ),
)

FIRST_VERSION = 1
"""Of the tables before the first step."""
