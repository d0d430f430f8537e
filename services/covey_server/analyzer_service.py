"""AnalyzerService as a whole: each group of methods comes from its own room."""

from __future__ import annotations

from covey.v1 import analyzer_pb2_grpc

from covey_server.learner_service import LearnerMethods


class AnalyzerServicer(LearnerMethods, analyzer_pb2_grpc.AnalyzerServiceServicer):
    """The methods of covey.v1.AnalyzerService."""
