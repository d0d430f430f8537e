"""How the tables of each version become those of the next, and go one step back. The newest step is the last.

A new table needs no step: `Store.create_all` makes what is missing, and an older covey does not look at it. Everything
else that older code would trip over, or that rows in place need, is a step: a file here, a line in `STEPS`, and the
golden state of the release before in tests/golden keeps it honest. A step speaks SQL of its own time and never imports
today's tables, so that it means the same for good.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from covey_server.store.steps import step_2_hash_chain


@dataclass(frozen=True, slots=True)
class Step:
    """From one version of the tables to the next.

    Attributes:
        version: of the tables afterwards; the step before has one less.
        summary: what is new, for people.
        forward: changes the tables and their rows, in one transaction with the new version number.
        back: what the version before can live with, in the same way.
    """

    version: int
    summary: str
    forward: Callable[[Connection], None]
    back: Callable[[Connection], None]


STEPS = (Step(2, "journal entries are chained by their digests", step_2_hash_chain.forward, step_2_hash_chain.back),)

FIRST_VERSION = 1
"""Of the tables before the first step."""
