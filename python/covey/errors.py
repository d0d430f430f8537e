"""The one family of errors for bad input: what was found, where, what was expected, what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """Input that cannot be used. Nothing of it was kept.

    Attributes:
        problem: what was found.
        source: the file or table, where known.
        column: the column's name, where one is to blame.
        row: the first bad row of `source`, counted from 0, where one is to blame.
        expected: what would have been right.
        remedy: what to do.
    """

    def __init__(
        self,
        problem: str,
        *,
        source: str | None = None,
        column: str | None = None,
        row: int | None = None,
        expected: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.problem = problem
        self.source = source
        self.column = column
        self.row = row
        self.expected = expected
        self.remedy = remedy
        super().__init__(self._text())

    def _text(self) -> str:
        place = [self.source] if self.source else []
        if self.column is not None:
            place.append(f"column '{self.column}'")
        if self.row is not None:
            place.append(f"row {self.row} (counted from 0)")
        text = f"{', '.join(place)}: {self.problem}" if place else self.problem
        if self.expected:
            text += f"; expected {self.expected}"
        if self.remedy:
            text += f". {self.remedy[0].upper()}{self.remedy[1:]}"
        return text


def suggestion(name: str, choices: Iterable[str]) -> str:
    """A remedy that names the closest choices, or all of them when none is close."""
    known = [str(choice) for choice in choices]
    close = get_close_matches(name, known, n=2, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(f"'{choice}'" for choice in close) + "?"
    return "the columns are: " + ", ".join(known) if known else ""
