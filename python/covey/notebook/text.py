"""Results in a line or a few, for a prompt without HTML. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from covey.instants import instant_to_datetime

if TYPE_CHECKING:
    from covey.cohorts import Cohorts
    from covey.events import Events
    from covey.retention import Retention
    from covey.traits import Traits


def of_events(events: Events) -> str:
    """How many, of whom, when."""
    if not len(events):
        return "Events: none"
    oldest_us = int(events.time_us.min())
    return (
        f"Events: {len(events):,} of {len(events.learner_ids):,} learners, {instant(oldest_us)} to "
        f"{instant(events.newest_us)}"
    )


def of_traits(traits: Traits) -> str:
    """Of how many, and when."""
    return f"Traits of {len(traits):,} learners as of {instant(traits.as_of_us)}{ignored(traits)}"


def of_cohorts(cohorts: Cohorts) -> str:
    """A line on the whole, and one per cohort."""
    lines = [f"  {row.index:>2} {row.archetype:<18} {row.size:>11,} {row.share:>6.1%}" for row in cohorts.model.cohorts]
    return "\n".join([summary(cohorts), *lines])


def of_retention(found: Retention) -> str:
    """Of how many, in how many groups, and what came back of all of them."""
    total = found.table.total
    known = [cell for cell in total.cells if cell.share is not None]
    back = ", ".join(f"{cell.interval.label}: {cell.share:.0%}" for cell in known[:4])
    return (
        f"Retention of {total.learner_count:,} learners in {len(found.table.rows)} groups by {found.by}; "
        f"came back on days {back or 'nobody has completed yet'}"
    )


def summary(cohorts: Cohorts) -> str:
    """How many cohorts of how many, and how good they are."""
    quality = cohorts.quality
    silhouette = "" if quality.silhouette is None else f", silhouette {quality.silhouette:.3f}"
    ending = "" if quality.converged else ", NOT converged"
    noun = "cohort" if len(cohorts) == 1 else "cohorts"
    return f"{len(cohorts)} {noun} of {len(cohorts.traits):,} learners{silhouette}{ending}"


def ignored(traits: Traits) -> str:
    """What was left out because it is later, as the end of a sentence."""
    count = traits.ignored_event_count
    return f", {count:,} later events ignored" if count else ""


def instant(us: int) -> str:
    """Microseconds since the epoch to the minute, UTC."""
    return f"{instant_to_datetime(us):%Y-%m-%d %H:%M}Z"
