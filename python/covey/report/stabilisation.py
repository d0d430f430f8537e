"""The time in which everybody has the candidate, day by day: is it stable, and what is left to watch? Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

from covey.report import words
from covey.report.model import Panel, Stabilisation, StabilisationLine, UndecidedLine
from covey.report.story import Event
from covey.rollout.model import RolloutState, State

MOST_LINES = 14
_DAY = 86_400.0
_UNITS = (_DAY, 3_600.0, 60.0, 1.0)
_EVERYBODY_BP = 10_000
_DISTURBANCES = frozenset({"held", "paused", "incident_reported", "escalated", "segment_excluded", "rollback_started"})


def stabilisation(
    state: RolloutState, panels: Sequence[Panel], told: Sequence[Event], undecided: Sequence[UndecidedLine]
) -> Stabilisation | None:
    """The last phase, once everybody has the candidate in it; None before, and in a rollout without a soak."""
    if not panels or state.phase_spec is None or panels[-1].name != state.phase_spec.name:
        return None
    panel, phase = panels[-1], state.phase_spec
    if not phase.soak and panel.share_steps[0][1] < _EVERYBODY_BP:
        return None
    began = next((e.sequence for e in reversed(told) if e.kind == "phase_entered"), 0)
    disturbances = [event for event in told if event.sequence > began and event.kind in _DISTURBANCES]
    requests, errors = panel.candidate.requests[-1:] or [0], panel.candidate.errors[-1:] or [0]
    return Stabilisation(
        phase=panel.name,
        seconds=panel.end_seconds,
        planned_seconds=phase.hold.ToTimedelta().total_seconds(),
        is_over=state.state == State.STATE_SUCCEEDED,
        requests=requests[0],
        errors=errors[0],
        slower_limits=[limit for limit, _ in panel.slower_limits],
        lines=_lines(panel),
        disturbances=disturbances,
        still_open=[line for line in undecided if line.phase != panel.name or not state.is_terminal],
        way_back=_way_back(state),
    )


def _lines(panel: Panel) -> list[StabilisationLine]:
    """The phase in whole days, hours or minutes, at most so many; the last may be short."""
    step = _step(panel.end_seconds)
    edges = [step * number for number in range(int(panel.end_seconds / step) + 2)]
    rows = []
    for begin, end in pairwise(edges):
        before, after = _at(panel, begin), _at(panel, min(end, panel.end_seconds))
        if after == before:
            continue
        rows.append(
            StabilisationLine(
                begin_seconds=begin,
                end_seconds=min(end, panel.end_seconds),
                requests=_between(panel.candidate.requests, before, after),
                errors=_between(panel.candidate.errors, before, after),
                slower=[_between(panel.candidate.slower.get(limit, []), before, after) for limit, _ in
                        panel.slower_limits],
            )
        )  # fmt: skip
    return rows


def _step(seconds: float) -> float:
    """The largest unit of which there are two at least, in a multiple that leaves few lines."""
    unit = next((unit for unit in _UNITS if seconds >= 2 * unit), _UNITS[-1])
    multiple = 1
    while seconds / (unit * multiple) > MOST_LINES:
        multiple += 1
    return unit * multiple


def _at(panel: Panel, seconds: float) -> int:
    """How many samples there were by then."""
    return bisect_right(panel.seconds, seconds)


def _between(counts: Sequence[int], before: int, after: int) -> int:
    """What was counted from one sample, exclusive, to another; counters begin at 0 with the phase."""
    if not counts:
        return 0
    return counts[after - 1] - (counts[before - 1] if before else 0)


def _way_back(state: RolloutState) -> str:
    spec = state.spec
    if state.state != State.STATE_SUCCEEDED:
        return f"covey rollout abort {state.name.removeprefix('rollouts/')} takes everybody back to {spec.baseline}"
    return (
        f"{spec.candidate} is the stable variant: the way back is a rollout of its own, "
        f"{spec.baseline} as candidate over {spec.candidate}"
    )


def share_text(events: int, trials: int) -> str:
    """Events of trials as a share: "0.12 %"; "-" without trials."""
    return f"{words.rounded(100 * events / trials)} %" if trials else "-"
