"""What a look found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line.

    Attributes:
        check: what was looked at; several findings may share it.
        level: how bad it is.
        said: what is so.
        remedy: what to do; empty where nothing is to be done.
    """

    check: str
    level: Level
    said: str
    remedy: str = ""


def ok(check: str, said: str) -> Finding:
    """Nothing is to be done."""
    return Finding(check, Level.OK, said)


def warn(check: str, said: str, remedy: str) -> Finding:
    """It works, and will or may not."""
    return Finding(check, Level.WARN, said, remedy)


def fail(check: str, said: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(check, Level.FAIL, said, remedy)


def worst(findings: Iterable[Finding]) -> Level:
    """The worst level of all; ok where there are none."""
    order = list(Level)
    return max((finding.level for finding in findings), key=order.index, default=Level.OK)
