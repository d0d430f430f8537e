"""Frozen records that hold arrays: equality, and changed copies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Record = TypeVar("Record", bound="DataclassInstance")


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


def changed(record: Record, changes: Mapping[str, Any]) -> Record:
    """`dataclasses.replace` for frozen dataclasses of many fields, of which a look changes some: a fifth of its time.

    What is cached on the record is not copied.

    Raises:
        TypeError: a change of what is no field.
    """
    names = record.__dataclass_fields__.keys()
    if not changes.keys() <= names:
        raise TypeError(f"{type(record).__name__} has no field {', '.join(sorted(changes.keys() - names))}")
    copy = object.__new__(type(record))
    values = vars(copy)
    values.update(vars(record))
    for cached in values.keys() - names:
        del values[cached]
    values.update(changes)
    return copy
