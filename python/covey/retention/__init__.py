"""Who comes back: retention by start cohort and by archetype, how long learners stay, and pictures of both."""

from __future__ import annotations

from covey.retention.activity import Activity, days_of_activity
from covey.retention.intervals import Interval, parse_intervals, weekly
from covey.retention.measure import GroupBy, Retention, measure
from covey.retention.table import Cell, RetentionRow, RetentionTable

__all__ = [
    "Activity",
    "Cell",
    "GroupBy",
    "Interval",
    "Retention",
    "RetentionRow",
    "RetentionTable",
    "days_of_activity",
    "measure",
    "parse_intervals",
    "weekly",
]
