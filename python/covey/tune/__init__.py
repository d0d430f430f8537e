"""Better constants for an objective that somebody names: nested validation, and a rollout that must prove them."""

from __future__ import annotations

from covey.tune.configuration import Configuration, Knobs
from covey.tune.objectives import Goal, Problem
from covey.tune.search import Tuned, tune
from covey.tune.segments import SegmentTuned, tune_segments

__all__ = ["Configuration", "Goal", "Knobs", "Problem", "SegmentTuned", "Tuned", "tune", "tune_segments"]
