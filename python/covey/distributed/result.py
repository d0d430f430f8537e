"""Cohorts whose learners are still with the workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from covey.cohort_model import CohortModel
from covey.cohorts import Cohorts
from covey.distributed.writing import make_folder, write_model
from covey.identifiers import LearnerIds
from covey.instants import instant_to_datetime
from covey.parameters import FURTHER_NAMES, TRAIT_NAMES
from covey.parts import PartitionedCohorts
from covey.parts.questions import Conclude
from covey.traits import Traits
from covey.traits_join import joined

if TYPE_CHECKING:
    from covey.distributed.ray_engine import Crew


class DistributedCohorts:
    """What was found, and what can be had from the workers while they live.

    Attributes:
        model: centroids, names, sizes, mean traits and quality.
        silhouette_by_k: what "auto" compared.
    """

    def __init__(self, crew: Crew, found: PartitionedCohorts, conclude: Conclude) -> None:
        self.model: CohortModel = found.model
        self.silhouette_by_k = found.silhouette_by_k
        self._crew = crew
        self._conclude = conclude

    @property
    def learner_count(self) -> int:
        """Learners of all workers."""
        return self._crew.learner_count

    @property
    def row_count(self) -> int:
        """Rows of all files."""
        return self._crew.source.row_count

    @property
    def ignored_event_count(self) -> int:
        """Events later than `as_of`."""
        return sum(each.ignored_event_count for each in self._crew.loaded.values())

    @property
    def lost_workers(self) -> int:
        """How often a worker died and was made anew."""
        return self._crew.lost_workers

    @property
    def spilled_count(self) -> int:
        """Pieces of which a part is in files, because memory was short."""
        return self._crew.spilled_count()

    @property
    def cpu_seconds(self) -> float:
        """What reading and the traits took of the workers' processors."""
        return sum(each.cpu_seconds for each in self._crew.loaded.values())

    def write(self, folder: str) -> None:
        """Write learners-NNNNN.parquet for each piece, then model.json, into a folder or below a URI."""
        make_folder(folder)
        archetypes = tuple(row.archetype for row in self.model.cohorts)
        done = 0
        self._crew.tell("writing", 0, self.learner_count, "learners")
        for count in self._crew.of_pieces(
            lambda keeper, number: keeper.write.remote(number, self._conclude, archetypes, folder)
        ):
            done += count
            self._crew.tell("writing", done, self.learner_count, "learners")
        facts = {
            "row_count": self.row_count,
            "learner_count": self.learner_count,
            "as_of": instant_to_datetime(self._crew.as_of_us).isoformat(),
            "ignored_event_count": self.ignored_event_count,
            "silhouette_by_k": {str(k): value for k, value in self.silhouette_by_k.items()},
        }
        write_model(self.model, folder, facts)

    def collected(self) -> Cohorts:
        """All learners in the memory of this process, about 100 bytes each: what `Traits.discover` gives."""
        parts, done = [], 0
        for table in self._crew.of_pieces(lambda keeper, number: keeper.learners.remote(number, self._conclude)):
            parts.append(self._traits(table))
            done += table.num_rows
            self._crew.tell("collecting", done, self.learner_count, "learners")
        whole = joined([part for part in parts if len(part)])
        further = dict(whole.further)
        labels = further.pop("cohort")
        traits = Traits(
            learner_ids=whole.learner_ids,
            matrix=whole.matrix,
            further=further,
            as_of_us=whole.as_of_us,
            ignored_event_count=self.ignored_event_count,
            parameters=whole.parameters,
            engine="native",
        )
        return Cohorts(traits, labels, self.model, self.silhouette_by_k)

    def _traits(self, table: Any) -> Traits:
        """A piece in arrays of its own, so that Ray's store can let go of it; the labels go along."""

        def column(name: str) -> Any:
            return np.array(table.column(name).to_numpy(), copy=True)

        ids = table.column("learner_id").combine_chunks()
        ids = LearnerIds.from_arrow(ids.chunk(0) if hasattr(ids, "chunk") else ids)
        return Traits(
            learner_ids=ids,
            matrix=np.stack([column(name) for name in TRAIT_NAMES]),
            further={name: column(name) for name in (*FURTHER_NAMES, "cohort")},
            as_of_us=self._crew.as_of_us,
            ignored_event_count=0,
            parameters=self.model.parameters,
            engine="native",
        )
