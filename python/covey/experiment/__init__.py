"""Experiments on learners: from a table of units to what may be said, and how sure it is.

Pure functions on arrays: the table comes in, the result goes out; no file, no clock, no chance but a seeded one.
"""

from __future__ import annotations

from covey.experiment.analysis import analyze, analyze_units
from covey.experiment.data import experiment_data, plan_data, segments_data
from covey.experiment.design import Columns, DecideBy, Design, Missing, Outcome, OutcomeKind, Segment
from covey.experiment.outcome_words import parse_outcome, parse_segment, parse_shares
from covey.experiment.planning import Plan, PlannedOutcome, plan
from covey.experiment.results import Comparison, ExperimentResult, Verdict
from covey.experiment.segment_results import SegmentsResult, SegmentVerdict
from covey.experiment.segments import analyze_segments
from covey.experiment.units import Units, read_units

__all__ = [
    "Columns",
    "Comparison",
    "DecideBy",
    "Design",
    "ExperimentResult",
    "Missing",
    "Outcome",
    "OutcomeKind",
    "Plan",
    "PlannedOutcome",
    "Segment",
    "SegmentVerdict",
    "SegmentsResult",
    "Units",
    "Verdict",
    "analyze",
    "analyze_segments",
    "analyze_units",
    "experiment_data",
    "parse_outcome",
    "parse_segment",
    "parse_shares",
    "plan",
    "plan_data",
    "read_units",
    "segments_data",
]
