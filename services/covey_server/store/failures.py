"""The one error of the store."""

from __future__ import annotations


class StoreError(Exception):
    """The store cannot do what was asked; nothing of it was kept.

    Attributes:
        problem: what went wrong.
        place: the directory or file, or the URL.
        remedy: what to do.
        is_full: whether there was no space.
    """

    def __init__(self, problem: str, *, place: str, remedy: str, is_full: bool = False) -> None:
        self.problem = problem
        self.place = place
        self.remedy = remedy
        self.is_full = is_full
        super().__init__(f"{place}: {problem}. {remedy[0].upper()}{remedy[1:]}")
