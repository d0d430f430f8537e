"""Lists of edges: who of the learners is linked with whom."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from covey.errors import InputError, suggestion
from covey.together.space import Space


def edges_of(space: Space, table: Any, columns: tuple[str, str], source: str = "the table") -> NDArray[np.int64]:
    """Pairs of learners of the space who are linked, shape (m, 2): each once, the lower position first.

    Links of people to themselves, and to people who are not in the space, are left out.

    Args:
        space: of the learners.
        table: a pyarrow table with a row per link.
        columns: its columns of ids.
        source: what to call the table in errors.

    Raises:
        InputError: for a column that is not there, or where no link is between two learners of the space.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    ids = space.learner_ids.to_arrow().cast(pa.large_string())
    ends = []
    for name in columns:
        if name not in table.column_names:
            raise InputError(
                "there is no such column", source=source, column=name, remedy=suggestion(name, table.column_names)
            )
        found = pc.index_in(table[name].combine_chunks().cast(pa.large_string()), ids)
        ends.append(found.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64))
    pairs = np.sort(np.column_stack(ends), axis=1)
    pairs = np.unique(pairs[(pairs[:, 0] >= 0) & (pairs[:, 0] < pairs[:, 1])], axis=0)
    if not len(pairs):
        raise InputError("no row links two learners of the events", source=source, expected="ids as in the events")
    return pairs
