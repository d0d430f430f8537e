"""Calls of TuningService on the data port."""

from __future__ import annotations

from functools import cached_property

from covey.client.retry import Connection
from covey.v1 import tuning_pb2 as pb
from covey.v1.tuning_pb2_grpc import TuningServiceStub

LONGEST_TUNING_SECONDS = 1800.0
"""The most that one call may ask for takes minutes of a core, and several times as long on a busy machine."""


class TuningCalls(Connection):
    """What callers ask about better constants."""

    @cached_property
    def _tuning_stub(self) -> TuningServiceStub:
        return self.stub(TuningServiceStub, self.data)

    def tune_analyzer(
        self, request: pb.TuneAnalyzerRequest, *, timeout_seconds: float = LONGEST_TUNING_SECONDS
    ) -> pb.TuneAnalyzerResponse:
        """What tuning brings on learners held out, and drafts of what must prove it. The work ends with the call."""
        return self.call(self._tuning_stub.TuneAnalyzer, request, self.data, timeout_seconds)
