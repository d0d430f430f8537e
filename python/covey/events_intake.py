"""Record batches to `Events`: one pass, each column checked and narrowed as it comes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from covey.errors import InputError
from covey.events import Events
from covey.events_codes import ColumnBuffer, LearnerEncoder, Vocabulary, learner_encoder
from covey.events_mapping import EventMapping
from covey.events_values import Place, flags, kinds, times_us, weights

MOST_ROWS = 2**31 - 1


class Intake:
    """Takes `row_count` rows in batches, then gives `Events`."""

    def __init__(self, mapping: EventMapping, row_count: int, domain_of_key: dict[Any, Any] | None) -> None:
        self._mapping = mapping
        self._row_count = row_count
        self._domain_of_key = domain_of_key
        self._learners: LearnerEncoder | None = None
        self._vocabularies = {"domain": Vocabulary(np.uint8), "capability": Vocabulary(np.uint16)}
        self._columns: dict[str, ColumnBuffer] = {}
        self._rows = 0

    def append(self, columns: dict[str, Any], source: str, names: dict[str, str], first_row: int) -> None:
        """Add a batch.

        Args:
            columns: Arrow arrays by meaning, of one length; `names` holds the same meanings.
            source: the file or table.
            names: the columns' own names.
            first_row: row of `source` that the batch begins with.
        """
        places = {meaning: Place(source, name, first_row) for meaning, name in names.items()}
        learners = columns["learner"]
        if self._learners is None:
            self._learners = learner_encoder(learners.type, self._row_count, places["learner"])
        self._learners.append(learners, places["learner"])
        self._column("time").append(times_us(columns["time"], self._mapping.time_unit, places["time"]))
        for meaning, vocabulary in self._vocabularies.items():
            if meaning in columns:
                renamed = self._domain_of_key if meaning == "domain" else None
                self._optional(meaning).append(vocabulary.encode(columns[meaning], places[meaning], renamed))
            elif meaning in self._columns:
                raise Place(source, meaning).error("the column is missing", remedy="other files of this folder have it")
        for meaning, convert in (("kind", kinds), ("action_taken", flags), ("weight", weights)):
            if meaning in columns:
                self._optional(meaning).append(convert(columns[meaning], places[meaning]))
            elif meaning in self._columns:
                raise Place(source, meaning).error("the column is missing", remedy="other files of this folder have it")
        self._rows += len(learners)

    def finish(self) -> Events:
        """The events; call it once, after `row_count` rows."""
        assert self._learners is not None
        learner_ids, learner_index = self._learners.finish()
        coded: dict[str, tuple[NDArray[Any], tuple[str | None, ...]]] = {}
        for meaning, vocabulary in self._vocabularies.items():
            buffer = self._columns.get(meaning)
            if buffer is None:
                smallest = np.uint8 if meaning == "domain" else np.uint16
                coded[meaning] = (np.zeros(self._row_count, dtype=smallest), (None,))
            else:
                coded[meaning] = vocabulary.finish(buffer.finish())
        if self._domain_of_key is not None and coded["domain"][1] == (None,):
            raise InputError(
                f"none of the events has a domain in '{self._mapping.domain_from}'",
                expected="values of the key column that the events have too",
            )
        plain = {
            meaning: self._columns[meaning].finish() if meaning in self._columns else None
            for meaning in ("kind", "action_taken", "weight")
        }
        return Events(
            learner_ids=learner_ids,
            learner_index=learner_index,
            time_us=self._columns["time"].finish(),
            domain_index=coded["domain"][0],
            domains=coded["domain"][1],
            capability_index=coded["capability"][0],
            capabilities=coded["capability"][1],
            **plain,
        )

    def _column(self, meaning: str) -> ColumnBuffer:
        return self._columns.setdefault(meaning, ColumnBuffer(self._row_count))

    def _optional(self, meaning: str) -> ColumnBuffer:
        if meaning not in self._columns and self._rows:
            raise Place("the files read before", meaning).error("the column is missing in some files of this folder")
        return self._column(meaning)
