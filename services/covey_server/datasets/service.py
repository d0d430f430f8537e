"""Methods of AnalyzerService about datasets and their learners."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import grpc

from covey.v1 import analyzer_pb2, datasets_pb2
from covey_server.catalogue.calls import stream, unary
from covey_server.datasets.datasets import resource

if TYPE_CHECKING:
    from covey_server.datasets.appends import Appends
    from covey_server.datasets.datasets import Datasets
    from covey_server.datasets.learners import Learners


class LearnerMethods:
    """Mixin of the servicer, which sets `_learners`."""

    _learners: Learners

    @unary
    def GetLearnerCohort(  # noqa: N802 - named by the contract, as all here
        self, request: analyzer_pb2.GetLearnerCohortRequest, context: grpc.ServicerContext
    ) -> analyzer_pb2.GetLearnerCohortResponse:
        """The cohort of a learner of a dataset."""
        return self._learners.cohort(request)

    @unary
    def DeleteLearner(  # noqa: N802
        self, request: analyzer_pb2.DeleteLearnerRequest, context: grpc.ServicerContext
    ) -> analyzer_pb2.DeleteLearnerResponse:
        """Remove a learner's events, exposures and outcomes."""
        return self._learners.delete(request)


class DatasetMethods(LearnerMethods):
    """Mixin of the servicer, which sets `_datasets`, `_appends` and `_learners`."""

    _datasets: Datasets
    _appends: Appends

    @unary
    def CreateDataset(  # noqa: N802
        self, request: analyzer_pb2.CreateDatasetRequest, context: grpc.ServicerContext
    ) -> datasets_pb2.Dataset:
        """Begin an empty dataset."""
        return self._datasets.create(request)

    @unary
    def GetDataset(  # noqa: N802
        self, request: analyzer_pb2.GetDatasetRequest, context: grpc.ServicerContext
    ) -> datasets_pb2.Dataset:
        """One dataset."""
        return resource(self._datasets.view(request.name))

    @unary
    def ListDatasets(  # noqa: N802
        self, request: analyzer_pb2.ListDatasetsRequest, context: grpc.ServicerContext
    ) -> analyzer_pb2.ListDatasetsResponse:
        """Datasets by name."""
        return self._datasets.list(request)

    @unary
    def DeleteDataset(  # noqa: N802
        self, request: analyzer_pb2.DeleteDatasetRequest, context: grpc.ServicerContext
    ) -> analyzer_pb2.DeleteDatasetResponse:
        """Remove a dataset with its files."""
        self._datasets.delete(request)
        return analyzer_pb2.DeleteDatasetResponse()

    @stream
    def AppendEvents(  # noqa: N802
        self, request_iterator: Iterator[datasets_pb2.AppendEventsRequest], context: grpc.ServicerContext
    ) -> Iterator[datasets_pb2.AppendEventsResponse]:
        """Add events; each answer says what is synced."""
        return self._appends.serve(request_iterator, context)
