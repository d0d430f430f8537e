"""Methods of AnalyzerService about discovery jobs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import grpc

from covey.v1 import analyzer_pb2, datasets_pb2
from covey_server.catalogue.calls import stream, unary

if TYPE_CHECKING:
    from covey_server.jobs.jobs import Jobs


class JobMethods:
    """Mixin of the servicer, which sets `_jobs`."""

    _jobs: Jobs

    @unary
    def DiscoverCohorts(  # noqa: N802 - named by the contract, as all here
        self, request: analyzer_pb2.DiscoverCohortsRequest, context: grpc.ServicerContext
    ) -> datasets_pb2.Job:
        """Queue a discovery."""
        return self._jobs.discover(request)

    @unary
    def GetJob(self, request: analyzer_pb2.GetJobRequest, context: grpc.ServicerContext) -> datasets_pb2.Job:  # noqa: N802
        """The job as it is now."""
        return self._jobs.get(request.name)

    @unary
    def ListJobs(  # noqa: N802
        self, request: analyzer_pb2.ListJobsRequest, context: grpc.ServicerContext
    ) -> analyzer_pb2.ListJobsResponse:
        """Jobs, newest first."""
        return self._jobs.list(request)

    @stream
    def WatchJob(  # noqa: N802
        self, request: analyzer_pb2.WatchJobRequest, context: grpc.ServicerContext
    ) -> Iterator[datasets_pb2.Job]:
        """The job at every change, until it is finished."""
        return self._jobs.watch(request.name, context)

    @unary
    def CancelJob(  # noqa: N802
        self, request: analyzer_pb2.CancelJobRequest, context: grpc.ServicerContext
    ) -> datasets_pb2.Job:
        """Cancel a job."""
        return self._jobs.cancel(request)
