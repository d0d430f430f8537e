"""Regions as a coordinator sees them: learners in this process, and those of a server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from covey.client.federation import question_message
from covey.federation import Keyring, RegionSession
from covey.federation.questions import Asked
from covey.parts import LocalPart
from covey.v1 import cohorts_pb2
from covey.v1 import federation_pb2 as pb
from covey.v1.federation_pb2_grpc import FederationServiceStub

_PATIENCE_SECONDS = 240.0


@dataclass
class Here:
    """Learners in memory.

    Attributes:
        name: of the region.
        part: its learners.
        run: its id, the same for all regions.
        minimum: learners that a number must be about.
        said: what left it.
    """

    name: str
    part: LocalPart
    run: str = "run"
    minimum: int = 50
    said: list[NDArray[np.uint64]] = field(default_factory=list)

    def open(self) -> bytes:
        self.ring = Keyring(self.name, self.run)
        self.session = RegionSession(self.part, self.ring, self.minimum)
        return self.ring.public_key

    def join(self, public_keys: Mapping[str, bytes]) -> None:
        self.ring.join(public_keys)

    def ask(self, number: int, asked: Asked) -> NDArray[np.uint64]:
        self.said.append(self.session.answer(number, bytes([number % 251]), asked))
        return self.said[-1]

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class There:
    """Learners of a server.

    Attributes:
        stub: on a channel of the caller's, such as one that counts.
        opening: how the run is opened.
    """

    stub: FederationServiceStub
    opening: pb.OpenRegionRequest

    def open(self) -> bytes:
        return self.stub.OpenRegion(self.opening, timeout=_PATIENCE_SECONDS).public_key

    def join(self, public_keys: Mapping[str, bytes]) -> None:
        request = pb.JoinRegionRequest(run=self.opening.run, public_keys=public_keys)
        self.stub.JoinRegion(request, timeout=_PATIENCE_SECONDS)

    def ask(self, number: int, asked: Asked) -> NDArray[np.uint64]:
        question = question_message(self.opening.run, number, asked)
        masked = self.stub.AskRegion(question, timeout=_PATIENCE_SECONDS).masked_numbers
        return np.frombuffer(masked, "<u8").astype(np.uint64)

    def close(self, cohort_model: cohorts_pb2.CohortModel | None = None) -> None:
        """End it; the server keeps a model that is given."""
        request = pb.CloseRegionRequest(run=self.opening.run, cohort_model=cohort_model)
        self.stub.CloseRegion(request, timeout=_PATIENCE_SECONDS)
