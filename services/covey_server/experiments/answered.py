"""A table and a design as an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from covey.experiment import analyze, analyze_segments, experiment_data, segments_data
from covey.v1 import experiments_pb2 as pb
from covey_server.experiments.asked import message_of

if TYPE_CHECKING:
    from covey.experiment import Design


def answered(table: Any, design: Design) -> pb.AnalyzeExperimentResponse:
    """The analysis and, where segments are asked for, the deep dive.

    Raises:
        InputError: the table does not fit the design.
    """
    answer = pb.AnalyzeExperimentResponse()
    message_of(experiment_data(analyze(table, design)), answer.analysis)
    if design.segments:
        message_of(segments_data(analyze_segments(table, design)), answer.segments)
    return answer
