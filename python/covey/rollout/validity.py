"""Whether the metrics of the last look can be believed, and what holds the rollout where they cannot.

Absence is a type, not a number: every kind of missing data holds, none passes, and none rolls back by itself.
"""

from __future__ import annotations

import math
from functools import lru_cache

from covey.rollout.model import LONGEST_GAP_INTERVALS, RolloutState
from covey.rollout.units import format_share, rounded
from covey.stats import multinomial_srm
from covey.v1.evidence_pb2 import (
    ABSENCE_TYPE_NO_SAMPLES,
    ABSENCE_TYPE_NO_SERIES,
    Absence,
    AbsenceType,
)

# Before the first phase a server may have nothing yet to show of a rollout.
HARMLESS_BEFORE_START = frozenset({ABSENCE_TYPE_NO_SERIES, ABSENCE_TYPE_NO_SAMPLES})
MOST_NAMED = 3
# ln E of the split at which the comparison of the arms is no longer believed: p below 0.001.
SPLIT_THRESHOLD = rounded(math.log(1000))


def invalid_reason(state: RolloutState) -> str:
    """Why the verdicts of the phase cannot be believed now, with counters; empty where they can."""
    if state.faults:
        return "; ".join(state.faults[:MOST_NAMED])
    return weight_mismatch(state) or split_mismatch(state)


def split_mismatch(state: RolloutState) -> str:
    """Why the learners of this phase cannot have been split as planned; empty where they may have been.

    Counts are distinct learners first exposed in this phase, never requests; excluded segments are left out.
    """
    share = state.candidate_weight_bp / 10_000
    if not state.in_phase or not state.weight_confirmed or not 0 < share < 1:
        return ""
    counts: dict[str, int] = {}
    for learners in state.learners:
        if learners.segment not in state.excluded_segments:
            counts[learners.variant] = counts.get(learners.variant, 0) + learners.learner_count
    mine, other = counts.get(state.spec.candidate), counts.get(state.spec.baseline)
    if mine is None or other is None or mine + other == 0:
        return ""
    if _split_log_e(mine, other, share) < SPLIT_THRESHOLD:
        return ""
    return (
        f"the learners are not split as planned: {mine:,} of {mine + other:,} got the candidate where "
        f"{format_share(share)} should; look for a router, a cache or a filter that treats the variants differently"
    )


@lru_cache(maxsize=64)
def _split_log_e(candidate: int, baseline: int, share: float) -> float:
    """The ln E of a split; it is asked several times a look."""
    return rounded(float(multinomial_srm([candidate, baseline], [share, 1 - share])))


def weight_mismatch(state: RolloutState) -> str:
    """Which replica gives the candidate another share than the journal, after the time that a change may take."""
    settled = state.phase_open_seconds > LONGEST_GAP_INTERVALS * state.tick_interval_seconds
    if not state.in_phase or state.weight_confirmed or not settled:
        return ""
    wrong = {replica: bp for replica, bp in state.last_tick_weights.items() if bp != state.candidate_weight_bp}
    if not wrong:
        return ""
    replica, weight_bp = min(wrong.items())
    said, read = format_share(state.candidate_weight_bp / 10_000), format_share(weight_bp / 10_000)
    return f"replica {replica} gives the candidate {read} of the learners, the journal says {said}"


def hold_reason(state: RolloutState) -> str:
    """Why the last look is no ground to advance on, in words that stay from tick to tick; empty where it is."""
    if state.faults:
        sources = [fault.split(":")[0] for fault in state.faults[:MOST_NAMED]]
        replicas = ", ".join(source.removeprefix("replica ") for source in sources if source.startswith("replica "))
        others = [source for source in sources if not source.startswith("replica ")]
        named = [f"the metrics of replica {replicas}", *others] if replicas else others
        return f"{' and '.join(named)} cannot be believed"
    if state.absences:
        return f"metrics are missing: {named_absences(state.absences)}"
    if not state.last_tick_weights:
        return "metrics are missing: no replica was read"
    if split_mismatch(state):
        return "the learners are not split as planned"
    return weight_mismatch(state)


def start_problem(state: RolloutState) -> str:
    """Why the first phase must not begin after this look; empty where it may."""
    grave = [absence for absence in state.absences if absence.type not in HARMLESS_BEFORE_START]
    if grave:
        return f"metrics are missing: {named_absences(grave)}"
    if state.faults:
        return hold_reason(state)
    return "" if state.last_tick_weights or state.absences else "metrics are missing: no replica was read"


def named_absences(absences: list[Absence] | tuple[Absence, ...]) -> str:
    """The absences by replica, metric and type, the first few by name."""
    named = [
        f"{absence.metric or 'every metric'} of replica {absence.replica or 'unknown'} ({absence_word(absence.type)})"
        for absence in absences[:MOST_NAMED]
    ]
    more = len(absences) - MOST_NAMED
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")


def absence_word(absence: AbsenceType.ValueType) -> str:
    """NO_SERIES, STALE, SCRAPE_FAILED ..."""
    return AbsenceType.Name(absence).removeprefix("ABSENCE_TYPE_")
