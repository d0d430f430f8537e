"""Trait tables of different learners as one table, ordered by learner."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from covey.identifiers import LearnerIds
from covey.parameters import TRAIT_NAMES
from covey.traits import Traits


def joined(parts: Sequence[Traits]) -> Traits:
    """One table of all learners; the parts share no learner, and everything else."""
    ids, order = _ids_in_order([part.learner_ids for part in parts])
    count = len(ids)

    def column(arrays: list[NDArray[np.generic]]) -> NDArray[np.generic]:
        whole = np.concatenate(arrays)
        return whole if order is None else whole[order]

    matrix = np.empty((len(TRAIT_NAMES), count), dtype=np.float32)
    for trait in range(len(TRAIT_NAMES)):
        matrix[trait] = column([part.matrix[trait] for part in parts])
    return Traits(
        learner_ids=ids,
        matrix=matrix,
        further={name: column([part.further[name] for part in parts]) for name in parts[0].further},
        as_of_us=parts[0].as_of_us,
        ignored_event_count=sum(part.ignored_event_count for part in parts),
        parameters=parts[0].parameters,
        engine=parts[0].engine,
    )


def _ids_in_order(parts: list[LearnerIds]) -> tuple[LearnerIds, NDArray[np.int64] | None]:
    """All ids, ascending, and the order that makes them so; None where they are so already."""
    if parts[0].integers is not None:
        integers = np.concatenate([part.integers for part in parts if part.integers is not None])
        if (integers[1:] > integers[:-1]).all():
            return LearnerIds(integers=integers), None
        order = np.argsort(integers)
        return LearnerIds(integers=integers[order]), order
    texts = pa.concat_arrays([part.to_arrow() for part in parts])
    if pc.all(pc.less(texts.slice(0, len(texts) - 1), texts.slice(1)), min_count=0).as_py():
        return LearnerIds.from_arrow(texts), None
    order = pc.sort_indices(texts).to_numpy().astype(np.int64)
    return LearnerIds.from_arrow(texts.take(pa.array(order))), order
