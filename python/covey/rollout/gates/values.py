"""Equality of frozen records that hold arrays."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np


class ComparedByValue:
    """Equal where all fields are, arrays element by element; for dataclasses with `eq=False`."""

    def __hash__(self) -> int:
        raise TypeError(f"{type(self).__name__} holds arrays, which have no hash")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        names = [field.name for field in fields(self)]  # type: ignore[arg-type]
        return all(_equal(getattr(self, name), getattr(other, name)) for name in names)


def _equal(mine: Any, other: Any) -> bool:
    if isinstance(mine, np.ndarray):
        return isinstance(other, np.ndarray) and np.array_equal(mine, other)
    if isinstance(mine, tuple) and isinstance(other, tuple):
        return len(mine) == len(other) and all(map(_equal, mine, other))
    return bool(mine == other)
