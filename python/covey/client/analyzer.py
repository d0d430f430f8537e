"""Calls of AnalyzerService and OutcomeService on the data port."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from covey.client.failure import call_failed
from covey.client.names import resource_name
from covey.client.retry import Connection, new_request_id
from covey.v1 import analyzer_pb2 as pb
from covey.v1 import cohorts_pb2, datasets_pb2, outcomes_pb2, variants_pb2
from covey.v1.analyzer_pb2_grpc import AnalyzerServiceStub
from covey.v1.outcomes_pb2_grpc import OutcomeServiceStub

MessageT = TypeVar("MessageT", bound=Message)


class AnalyzerCalls(Connection):
    """What callers ask of the data port. Resources are named in full or by their last part."""

    @cached_property
    def _analyzer_stub(self) -> AnalyzerServiceStub:
        return self.stub(AnalyzerServiceStub, self.data)

    @cached_property
    def _outcome_stub(self) -> OutcomeServiceStub:
        return self.stub(OutcomeServiceStub, self.data)

    def get_server_info(self) -> pb.GetServerInfoResponse:
        """What is live: version, instruction set, stable variant, split."""
        return self.call(self._analyzer_stub.GetServerInfo, pb.GetServerInfoRequest(), self.data)

    def analyze_learner(
        self, request: pb.AnalyzeLearnerRequest, *, timeout_seconds: float | None = None
    ) -> pb.AnalyzeLearnerResponse:
        """Traits and cohort of one learner."""
        return self.call(self._analyzer_stub.AnalyzeLearner, request, self.data, timeout_seconds)

    def analyze_learners(
        self, messages: Iterable[pb.AnalyzeLearnersRequest], *, timeout_seconds: float | None = None
    ) -> Iterator[pb.AnalyzeLearnersResponse]:
        """Answers in the order of the messages; each message carries up to 1,024 learners."""
        allowed = self.timeout_seconds if timeout_seconds is None else timeout_seconds
        call = self._analyzer_stub.AnalyzeLearners(iter(messages), timeout=allowed, metadata=self.metadata)
        return self._stream(call, allowed)

    def create_dataset(
        self, dataset_id: str, *, description: str = "", request_id: str | None = None
    ) -> datasets_pb2.Dataset:
        """Makes an empty dataset."""
        request = pb.CreateDatasetRequest(
            dataset_id=dataset_id, description=description, request_id=new_request_id(request_id)
        )
        return self.call(self._analyzer_stub.CreateDataset, request, self.data)

    def get_dataset(self, name: str) -> datasets_pb2.Dataset:
        """One dataset."""
        request = pb.GetDatasetRequest(name=resource_name("datasets", name))
        return self.call(self._analyzer_stub.GetDataset, request, self.data)

    def list_datasets(self) -> Iterator[datasets_pb2.Dataset]:
        """Every dataset, page by page."""
        for page in self.pages(self._analyzer_stub.ListDatasets, pb.ListDatasetsRequest(), self.data, 100):
            yield from page.datasets

    def delete_dataset(self, name: str, *, request_id: str | None = None) -> None:
        """Removes a dataset and its events."""
        request = pb.DeleteDatasetRequest(name=resource_name("datasets", name), request_id=new_request_id(request_id))
        self.call(self._analyzer_stub.DeleteDataset, request, self.data)

    def append_events(
        self, messages: Iterable[datasets_pb2.AppendEventsRequest], *, timeout_seconds: float | None = None
    ) -> Iterator[datasets_pb2.AppendEventsResponse]:
        """Adds events; each answer says what is synced. The first message names dataset and append, and has no chunk.

        After a drop, open a stream with the same `append_id`: its first answer says where to go on.
        """
        allowed = self.timeout_seconds if timeout_seconds is None else timeout_seconds
        call = self._analyzer_stub.AppendEvents(iter(messages), timeout=allowed, metadata=self.metadata)
        return self._stream(call, allowed)

    def discover_cohorts(self, spec: datasets_pb2.DiscoverySpec, *, request_id: str | None = None) -> datasets_pb2.Job:
        """Starts a discovery job."""
        request = pb.DiscoverCohortsRequest(spec=spec, request_id=new_request_id(request_id))
        return self.call(self._analyzer_stub.DiscoverCohorts, request, self.data)

    def get_job(self, name: str) -> datasets_pb2.Job:
        """A job as it stands."""
        return self.call(self._analyzer_stub.GetJob, pb.GetJobRequest(name=resource_name("jobs", name)), self.data)

    def watch_job(self, name: str, *, timeout_seconds: float | None = None) -> Iterator[datasets_pb2.Job]:
        """The job at every change, until it is finished."""
        allowed = self.timeout_seconds if timeout_seconds is None else timeout_seconds
        request = pb.WatchJobRequest(name=resource_name("jobs", name))
        return self._stream(self._analyzer_stub.WatchJob(request, timeout=allowed, metadata=self.metadata), allowed)

    def cancel_job(self, name: str, *, request_id: str | None = None) -> datasets_pb2.Job:
        """Stops a job."""
        request = pb.CancelJobRequest(name=resource_name("jobs", name), request_id=new_request_id(request_id))
        return self.call(self._analyzer_stub.CancelJob, request, self.data)

    def get_cohort_model(self, name: str) -> cohorts_pb2.CohortModel:
        """One cohort model."""
        request = pb.GetCohortModelRequest(name=resource_name("cohortModels", name))
        return self.call(self._analyzer_stub.GetCohortModel, request, self.data)

    def list_cohort_models(self) -> Iterator[cohorts_pb2.CohortModel]:
        """Every cohort model, newest first, page by page."""
        for page in self.pages(self._analyzer_stub.ListCohortModels, pb.ListCohortModelsRequest(), self.data, 50):
            yield from page.cohort_models

    def get_learner_cohort(self, learner_id: str, dataset: str, *, model: str = "") -> pb.GetLearnerCohortResponse:
        """The cohort of a learner of a dataset; by default in the stable variant's model."""
        request = pb.GetLearnerCohortRequest(learner_id=learner_id, dataset=resource_name("datasets", dataset))
        if model:
            request.cohort_model = resource_name("cohortModels", model)
        return self.call(self._analyzer_stub.GetLearnerCohort, request, self.data)

    def delete_learner(self, learner_id: str, *, request_id: str | None = None) -> pb.DeleteLearnerResponse:
        """Removes a learner's events, exposures and outcomes."""
        request = pb.DeleteLearnerRequest(learner_id=learner_id, request_id=new_request_id(request_id))
        return self.call(self._analyzer_stub.DeleteLearner, request, self.data)

    def create_variant(
        self, variant_id: str, variant: variants_pb2.Variant, *, request_id: str | None = None
    ) -> variants_pb2.Variant:
        """Makes an immutable analyzer configuration."""
        request = pb.CreateVariantRequest(variant_id=variant_id, variant=variant, request_id=new_request_id(request_id))
        return self.call(self._analyzer_stub.CreateVariant, request, self.data)

    def list_variants(self) -> Iterator[variants_pb2.Variant]:
        """Every variant, page by page."""
        for page in self.pages(self._analyzer_stub.ListVariants, pb.ListVariantsRequest(), self.data, 100):
            yield from page.variants

    def report_outcomes(
        self, outcomes: Sequence[outcomes_pb2.Outcome], *, request_id: str | None = None
    ) -> outcomes_pb2.ReportOutcomesResponse:
        """Stores a batch of at most 10,000; an acknowledged batch is synced."""
        request = outcomes_pb2.ReportOutcomesRequest(outcomes=outcomes, request_id=new_request_id(request_id))
        return self.call(self._outcome_stub.ReportOutcomes, request, self.data)

    def _stream(self, call: Iterable[MessageT], allowed_seconds: float) -> Iterator[MessageT]:
        try:
            yield from call
        except grpc.RpcError as error:
            raise call_failed(error, self.data, allowed_seconds) from error
