"""Calls of FederationService on the data port, and a region as a federation's coordinator sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from covey.client.retry import Connection
from covey.v1 import cohorts_pb2
from covey.v1 import federation_pb2 as pb
from covey.v1.federation_pb2_grpc import FederationServiceStub

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from covey.client import Client
    from covey.federation.questions import Asked
    from covey.parts.questions import LloydStep

_PAGE_SIZE = 1000


class FederationCalls(Connection):
    """What a coordinator asks of a region, and what a region says of that."""

    @cached_property
    def _federation_stub(self) -> FederationServiceStub:
        return self.stub(FederationServiceStub, self.data)

    def open_region(self, request: pb.OpenRegionRequest) -> bytes:
        """Take part in a run, for the region's public key."""
        return self.call(self._federation_stub.OpenRegion, request, self.data).public_key

    def join_region(self, run: str, public_keys: Mapping[str, bytes]) -> None:
        """Tell the keys of all regions."""
        self.call(self._federation_stub.JoinRegion, pb.JoinRegionRequest(run=run, public_keys=public_keys), self.data)

    def ask_region(self, request: pb.AskRegionRequest) -> bytes:
        """The masked numbers that answer a question."""
        return self.call(self._federation_stub.AskRegion, request, self.data).masked_numbers

    def close_region(self, run: str, cohort_model: cohorts_pb2.CohortModel | None = None) -> None:
        """End a run; the region keeps the model where one is given."""
        request = pb.CloseRegionRequest(run=run, cohort_model=cohort_model)
        self.call(self._federation_stub.CloseRegion, request, self.data)

    def list_region_answers(self, run: str = "") -> Iterator[pb.RegionAnswer]:
        """What left the region, newest first."""
        request = pb.ListRegionAnswersRequest(run=run)
        for page in self.pages(self._federation_stub.ListRegionAnswers, request, self.data, _PAGE_SIZE):
            yield from page.answers


class RemoteRegion:
    """A region behind a client.

    Args:
        client: of the region's server; it is not closed here.
        request: how the run is opened.
    """

    def __init__(self, client: Client, request: pb.OpenRegionRequest) -> None:
        self._client = client
        self._request = request

    def open(self) -> bytes:
        """See `covey.federation.coordinator.Region`."""
        return self._client.open_region(self._request)

    def join(self, public_keys: Mapping[str, bytes]) -> None:
        """See there."""
        self._client.join_region(self._request.run, public_keys)

    def ask(self, number: int, asked: Asked) -> NDArray[np.uint64]:
        """See there."""
        import numpy as np

        masked = self._client.ask_region(question_message(self._request.run, number, asked))
        return np.frombuffer(masked, dtype="<u8").astype(np.uint64)

    def close(self, cohort_model: cohorts_pb2.CohortModel | None = None) -> None:
        """See there; the region keeps a model that is given."""
        self._client.close_region(self._request.run, cohort_model)


def question_message(run: str, number: int, asked: Asked) -> pb.AskRegionRequest:
    """A question as it travels."""
    from covey.federation.questions import StepSizes, StepSums
    from covey.parts.questions import Conclude, SquareDeviations

    message = pb.AskRegionRequest(run=run, number=number)
    match asked:
        case StepSizes():
            message.sizes.CopyFrom(_step(asked.step))
        case StepSums():
            message.sums.CopyFrom(pb.RegionSums(step=_step(asked.step), kept=asked.kept.tolist()))
        case Conclude():
            message.conclusion.centroids.extend(asked.centroids.ravel().tolist())
            message.conclusion.new_labels.extend(asked.new_labels.tolist())
        case SquareDeviations():
            message.deviations.means.extend(asked.means)
        case _:
            message.count.SetInParent()
    return message


def _step(step: LloydStep) -> pb.RegionStep:
    before = [] if step.before is None else step.before.ravel().tolist()
    return pb.RegionStep(before=before, centroids=step.centroids.ravel().tolist())
