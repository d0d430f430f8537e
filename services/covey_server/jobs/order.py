"""What the process of a discovery is told: one line of JSON."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from covey.v1 import cohorts_pb2, traits_pb2
from covey_server.catalogue.parameters import parameters_of
from covey_server.datasets.tables import SegmentRow

if TYPE_CHECKING:
    from covey.engine import EngineName
    from covey.parameters import TraitParameters


@dataclass(frozen=True, slots=True)
class RayCluster:
    """Where discoveries on Ray run.

    Attributes:
        address: of a cluster, such as ray://head:10001 or auto; None: started on this machine for each of them.
        folder: which every worker sees; the events are there while a discovery runs.
    """

    address: str | None
    folder: str


@dataclass(frozen=True, slots=True)
class DiscoveryRequest:
    """What to discover, ready for another process.

    Attributes:
        model: name of the cohort model to make.
        dataset: name of the dataset.
        folder: of its files.
        segments: its manifest.
        engine: "native" or "reference".
        parameters: of the trait definitions, as base64 of covey.v1.TraitParameters.
        as_of_us: microseconds since the epoch.
        cohort_count: 0: chosen by silhouette.
        seed: of the k-means++ seeding.
        threads: at most so many; of Ray's workers on this machine, too.
        previous_model: base64 of the covey.v1.CohortModel to compare with; "" for none.
        trait_weights: five with sum 1; None for the default.
        ray: where it runs; None: in the process that is told this.
    """

    model: str
    dataset: str
    folder: str
    segments: tuple[SegmentRow, ...]
    engine: EngineName
    parameters: str
    as_of_us: int
    cohort_count: int
    seed: int
    threads: int
    previous_model: str
    trait_weights: tuple[float, ...] | None = None
    ray: RayCluster | None = None

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> DiscoveryRequest:
        """The inverse of `to_json`."""
        fields = json.loads(text)
        fields["segments"] = tuple(SegmentRow(**segment) for segment in fields["segments"])
        fields["ray"] = None if fields["ray"] is None else RayCluster(**fields["ray"])
        return cls(**fields)

    def trait_parameters(self) -> TraitParameters:
        """The constants that are asked for."""
        return parameters_of(traits_pb2.TraitParameters.FromString(base64.b64decode(self.parameters)))

    def model_to_compare_with(self) -> cohorts_pb2.CohortModel | None:
        """The model before, if there is one."""
        return (
            cohorts_pb2.CohortModel.FromString(base64.b64decode(self.previous_model)) if self.previous_model else None
        )
