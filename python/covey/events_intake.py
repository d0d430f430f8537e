"""Record batches to `Events`: one pass, each column checked and narrowed as it comes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covey.errors import InputError
from covey.events import Events
from covey.events_codes import ColumnBuffer, Vocabulary, codes_in_place
from covey.events_learners import LearnerEncoder, learner_encoder
from covey.events_mapping import EventMapping
from covey.events_times import TimeBuffer
from covey.events_values import KIND_NUMBERS, Place, flags, kinds, narrowed_weights, times_us, weights

MOST_ROWS = 2**31 - 1

Coded = tuple[NDArray[Any], tuple[str | None, ...]]
Weights = NDArray[np.float32] | NDArray[np.float64]


class WeightBuffer:
    """Weights of at most `capacity` rows; it takes no memory before the first one that is not 1."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._ones = 0
        self._weights: ColumnBuffer | None = None

    def append(self, values: Weights) -> None:
        """Add a batch."""
        if self._weights is None:
            if (values == 1).all():
                self._ones += len(values)
                return
            self._weights = ColumnBuffer(self._capacity)
            if self._ones:
                self._weights.append(np.ones(self._ones, dtype=np.float32))
        self._weights.append(values)

    def finish(self) -> Weights | None:
        """All weights, or None when all are 1."""
        return None if self._weights is None else self._weights.finish()


class Intake:
    """Takes rows in batches, then gives `Events`.

    Args:
        mapping: which column means what.
        capacity: rows that may come.
        domain_of_key: of `EventMapping.domain_from`.
        in_place: the rows come as one batch that stays in memory anyway: columns that engines can read are not copied,
            not even to make them narrower.
    """

    def __init__(
        self, mapping: EventMapping, capacity: int, domain_of_key: dict[Any, Any] | None, in_place: bool = False
    ) -> None:
        self._mapping = mapping
        self._capacity = capacity
        self._domain_of_key = domain_of_key
        self._in_place = in_place
        self._rows = 0
        self._learners: LearnerEncoder | None = None
        self._times = TimeBuffer(capacity)
        self._time_in_place: NDArray[np.int64] | None = None
        self._vocabularies = {"domain": Vocabulary(), "capability": Vocabulary()}
        self._codes: dict[str, ColumnBuffer] = {}
        self._coded_in_place: dict[str, Coded] = {}
        self._flags: dict[str, ColumnBuffer] = {}
        self._weights: WeightBuffer | None = None

    @property
    def row_count(self) -> int:
        """Rows that came."""
        return self._rows

    def append(self, columns: dict[str, Any], source: str, names: dict[str, str], first_row: int) -> None:
        """Add a batch.

        Args:
            columns: Arrow arrays by meaning, of one length; `names` holds the same meanings, in every batch.
            source: the file or table.
            names: the columns' own names.
            first_row: row of `source` that the batch begins with.
        """
        places = {meaning: Place(source, name, first_row) for meaning, name in names.items()}
        learners = columns["learner"]
        if self._learners is None:
            self._learners = learner_encoder(learners.type, self._capacity, places["learner"])
        self._learners.append(learners, places["learner"])
        self._append_times(columns["time"], places["time"])
        for meaning in self._vocabularies:
            if meaning in columns:
                self._append_codes(meaning, columns[meaning], places[meaning])
        for meaning, convert in (("kind", kinds), ("action_taken", flags)):
            if meaning in columns:
                buffer = self._flags.setdefault(meaning, ColumnBuffer(self._capacity))
                buffer.append(convert(columns[meaning], places[meaning]))
        if "weight" in columns:
            self._weights = self._weights or WeightBuffer(self._capacity)
            values = weights(columns["weight"], places["weight"])
            self._weights.append(values if self._in_place else narrowed_weights(values))
        self._rows += len(learners)

    def finish(self) -> Events:
        """The events; call it once, after the last of at least one row."""
        assert self._learners is not None
        learners = self._learners.finish()
        coded = {meaning: self._finish_codes(meaning) for meaning in self._vocabularies}
        time, origin_us = self._times.finish() if self._time_in_place is None else (self._time_in_place, 0)
        kind, action_taken = self._finish_flags()
        return Events(
            learner_ids=learners.ids,
            learner_index=learners.index,
            learner_offsets=learners.offsets,
            time=time,
            time_origin_us=origin_us,
            domain_index=coded["domain"][0],
            domains=coded["domain"][1],
            capability_index=coded["capability"][0],
            capabilities=coded["capability"][1],
            kind=kind,
            action_taken=action_taken,
            weight=None if self._weights is None else self._weights.finish(),
        )

    def _append_times(self, array: Any, place: Place) -> None:
        time_us = times_us(array, self._mapping.time_unit, place)
        if self._in_place and not time_us.flags.owndata:
            self._time_in_place = time_us
        else:
            self._times.append(time_us)

    def _append_codes(self, meaning: str, array: Any, place: Place) -> None:
        renamed = self._domain_of_key if meaning == "domain" else None
        if self._in_place and renamed is None:
            found = codes_in_place(array, place)
            if found is not None:
                self._coded_in_place[meaning] = found
                return
        buffer = self._codes.setdefault(meaning, ColumnBuffer(self._capacity))
        buffer.append(self._vocabularies[meaning].encode(array, place, renamed))

    def _finish_codes(self, meaning: str) -> Coded:
        if meaning in self._coded_in_place:
            return self._coded_in_place[meaning]
        if meaning in self._codes:
            return self._vocabularies[meaning].finish(self._codes[meaning].finish())
        return np.zeros(self._rows, dtype=np.uint8), (None,)

    def _finish_flags(self) -> tuple[NDArray[np.uint8] | None, NDArray[np.uint8] | None]:
        """Kinds matter where one is feedback, and actions where one was taken on feedback."""
        kind, action_taken = (
            self._flags[meaning].finish() if meaning in self._flags else None for meaning in ("kind", "action_taken")
        )
        if kind is None or not (kind == KIND_NUMBERS["feedback"]).any():
            return None, None
        return kind, action_taken if action_taken is not None and action_taken.any() else None


def check_domains(domains: Collection[str | None], mapping: EventMapping) -> None:
    """Raise when the lookup table, where the mapping names one, knows none of the events' keys."""
    if mapping.lookup() is not None and not any(name is not None for name in domains):
        raise InputError(
            f"none of the events has a domain in '{mapping.domain_from}'",
            expected="values of the key column that the events have too",
        )
