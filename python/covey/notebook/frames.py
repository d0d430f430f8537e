"""Arrow tables as data frames of pandas and polars, in place where their types allow."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covey.errors import InputError


def to_pandas(table: Any) -> Any:
    """A pandas.DataFrame over the columns of a pyarrow table, each a block of its own.

    Numbers share memory with the table and are read-only, as the results of an analysis are; names of a dictionary
    become a categorical, whose codes pandas narrows. Text shares memory where pandas keeps text in Arrow (from 3 on).

    Raises:
        InputError: without pandas.
    """
    _require("pandas")
    return table.to_pandas(split_blocks=True)


def to_polars(table: Any) -> Any:
    """A polars.DataFrame over the columns of a pyarrow table: numbers share memory with it, text is converted.

    Raises:
        InputError: without polars.
    """
    _require("polars")
    import polars

    return polars.from_arrow(table, rechunk=False)


def named(labels: NDArray[np.int32], names: Sequence[str]) -> Any:
    """A pyarrow dictionary array: the name of each label, in place where no two labels have the same name."""
    import pyarrow as pa

    distinct = list(dict.fromkeys(names))
    if len(distinct) < len(names):
        # Categories are distinct wherever there are any: pandas refuses others.
        labels = np.array([distinct.index(name) for name in names], dtype=np.int32)[labels]
    return pa.DictionaryArray.from_arrays(pa.array(labels), pa.array(distinct))


def _require(library: str) -> None:
    if find_spec(library) is None:
        remedy = f"install it (pip install {library}), or take to_arrow(), which needs nothing more"
        raise InputError(f"{library} is not installed here", remedy=remedy)
