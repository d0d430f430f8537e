"""Learners as points, and what else is known of them: where neighbours and groups are looked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covey.about_learners import Attribute, attribute_of
from covey.cohort_model import weighted_points
from covey.cohorts import Cohorts
from covey.errors import InputError, suggestion
from covey.identifiers import LearnerIds
from covey.parameters import trait_weight_tuple
from covey.traits import Traits

COHORT, ARCHETYPE = "cohort", "archetype"


@dataclass(frozen=True, eq=False, slots=True)
class Space:
    """Learners as points whose squared distance is the weighted sum of squared differences of their traits.

    Attributes:
        learner_ids: n ids, ascending.
        points: float32, shape (5, n): traits times the square roots of their weights, which sum to 1; so no distance
            is above 1.
        attributes: by name; those of cohorts are "cohort" (its number as text) and "archetype".
    """

    learner_ids: LearnerIds
    points: NDArray[np.float32]
    attributes: Mapping[str, Attribute]

    def __len__(self) -> int:
        return len(self.learner_ids)

    @classmethod
    def of(cls, found: Traits | Cohorts, trait_weights: Mapping[str, float] | Sequence[float] | None = None) -> Space:
        """The space of a trait table, or of cohorts with their own weights.

        Args:
            found: traits, or cohorts, which bring the attributes "cohort" and "archetype".
            trait_weights: of a trait table; see `trait_weight_tuple`.

        Raises:
            InputError: for weights that are none, or given where cohorts bring their own.
        """
        if isinstance(found, Traits):
            return cls(found.learner_ids, weighted_points(found.matrix, trait_weight_tuple(trait_weights)), {})
        if trait_weights is not None:
            raise InputError("trait weights were given beside cohorts, which have their own", remedy="leave them out")
        points = weighted_points(found.traits.matrix, found.model.trait_weights)
        return cls(found.traits.learner_ids, points, cohort_attributes(found.labels, found.archetypes))

    def with_attributes(self, table: Any, learner: str, names: Sequence[str], source: str = "the table") -> Space:
        """The same space, knowing some columns of a table of learners.

        Args:
            table: a pyarrow table with one row per learner; learners that are not here are passed over, and of learners
                that are not in it nothing is known.
            learner: its column of ids.
            names: of its columns to take; null is not known.
            source: what to call the table in errors.

        Raises:
            InputError: for a column that is not there, a learner in two rows, or a table that knows no learner.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        for name in (learner, *names):
            if name not in table.column_names:
                raise InputError(
                    "there is no such column", source=source, column=name, remedy=suggestion(name, table.column_names)
                )
        ids = table[learner].combine_chunks().cast(pa.large_string())
        if pc.count_distinct(ids, mode="all").as_py() < len(ids):
            raise InputError("a learner has two rows", source=source, column=learner, expected="one row per learner")
        rows = pc.index_in(self.learner_ids.to_arrow().cast(pa.large_string()), ids)
        if rows.null_count == len(rows):
            raise InputError("it knows none of the learners of the events", source=source, column=learner)
        taken = {name: attribute_of(table[name].combine_chunks().take(rows)) for name in names}
        return replace(self, attributes={**self.attributes, **taken})

    def attribute(self, name: str) -> Attribute:
        """An attribute by name.

        Raises:
            InputError: there is none of that name.
        """
        if name not in self.attributes:
            known = ", ".join(self.attributes) or "none"
            raise InputError(
                f"nothing is known of the learners by the name of '{name}'", expected=f"one of those known: {known}"
            )
        return self.attributes[name]

    def position(self, learner_id: str | int) -> int:
        """Where a learner is.

        Raises:
            InputError: the learner has no events.
        """
        found = self.learner_ids.find(learner_id)
        if found is None:
            raise InputError(f"learner '{learner_id}' has no events up to this instant")
        return found


def cohort_attributes(labels: NDArray[np.int32], archetypes: Sequence[str]) -> dict[str, Attribute]:
    """The attributes that cohorts bring: their numbers as text, and their archetypes."""
    names = tuple(dict.fromkeys(archetypes))
    codes = np.array([names.index(name) for name in archetypes], np.int32)
    return {
        COHORT: Attribute(labels, tuple(map(str, range(len(archetypes))))),
        ARCHETYPE: Attribute(codes[labels], names),
    }
