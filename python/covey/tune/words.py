"""What tuning brought, in words."""

from __future__ import annotations

from covey.tune.objectives import Goal
from covey.tune.search import Tuned
from covey.tune.segments import SegmentTuned

_MIND = {
    Goal.stability: "Few cohorts are stable for being few: compare at numbers of cohorts that you can use (--cohorts).",
    Goal.separation: (
        "Cohorts part better where traits weigh nothing, and few part better than many: this says nothing of their use."
    ),
    Goal.outcome: "",
}


def verdict(found: Tuned) -> str:
    """Whether tuning brought anything, on learners who had no part in it."""
    gain, problem = found.gain, found.problem
    figures = (
        f"{problem.unit} {gain.default.mean():.4f} by default, {gain.tuned.mean():.4f} tuned; gain {gain.mean:+.4f} "
        f"({gain.low:+.4f} to {gain.high:+.4f}, {100 * gain.confidence:g} %), on learners held out, of "
        f"{len(problem.known):,}."
    )
    if gain.is_shown:
        told = "The gain is shown."
    elif gain.high < 0:
        told = "Tuning does harm: keep the default."
    else:
        told = "No gain is shown: keep the default, or bring more learners."
    return " ".join(part for part in (told, figures[0].upper() + figures[1:], _MIND[problem.goal]) if part)


def segment_text(own: SegmentTuned) -> str:
    """What parameters of its own are worth to a segment."""
    if own.gain is None:
        return f"{own.name}: {own.learner_count} learners are too few to tune by; parameters of everybody."
    gain = f"gain over everybody's {own.gain.mean:+.4f}, p = {own.adjusted_p:.2g} corrected for all segments"
    what = "parameters of its own" if own.best is not None else "parameters of everybody"
    return f"{own.name}: {own.learner_count:,} learners, {gain}; {what}."
