"""What tuning brought, in words."""

from __future__ import annotations

from collections.abc import Sequence

from covey.parameters import TRAIT_NAMES
from covey.tune.objectives import Goal
from covey.tune.search import Tuned
from covey.tune.segments import SegmentTuned

CONSTANT_HEADS = ["constant", "default", "tuned"]
SEGMENT_HEADS = ["segment", "learners", "gain", "p", "constants"]
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


def constant_rows(found: Tuned) -> list[list[str]]:
    """Rows for `CONSTANT_HEADS`: what tuning changed, and the number of cohorts."""
    before, after = found.default, found.best
    rows = [
        [name, f"{value:g}", f"{getattr(after.parameters, name):g}"]
        for name, value in before.parameters.to_keywords().items()
        if value != getattr(after.parameters, name)
    ]
    weights = zip(TRAIT_NAMES, before.weights, after.weights, strict=True)
    rows += [[f"weight of {name}", f"{old:g}", f"{new:g}"] for name, old, new in weights if old != new]
    return [*rows, ["cohorts", str(before.k), f"{after.k} (by fold {', '.join(str(own.k) for own in found.chosen)})"]]


def segment_rows(segments: Sequence[SegmentTuned]) -> list[list[str]]:
    """Rows for `SEGMENT_HEADS`."""
    rows = []
    for own in segments:
        figures = ["too few", ""]
        if own.gain is not None:
            shown = f"{own.gain.mean:+.4f} ({own.gain.low:+.4f} to {own.gain.high:+.4f})"
            figures = [shown, f"{own.adjusted_p:.2g}"]
        rows.append([own.name, f"{own.learner_count:,}", *figures, "everybody's" if own.best is None else "its own"])
    return rows
