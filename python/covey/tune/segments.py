"""Parameters of a segment's own: only where the gain over everybody's survives that many segments were tried."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from covey.about_learners import Attribute
from covey.errors import InputError
from covey.stats.multiplicity import holm
from covey.tune.configuration import Configuration, Knobs
from covey.tune.objectives import FEWEST_LEARNERS
from covey.tune.search import Gain, Progress, Tuned, choose, gain_of, outer_folds


@dataclass(frozen=True, eq=False, slots=True)
class SegmentTuned:
    """A segment.

    Attributes:
        name: of the segment.
        learner_count: who can be judged.
        gain: of its own configuration over the one for everybody; None where it is too small to be tuned.
        adjusted_p: of no gain, corrected for all segments that were tried (Holm); 1 where none was.
        best: its own configuration where the gain survives; None elsewhere.
    """

    name: str
    learner_count: int
    gain: Gain | None
    adjusted_p: float
    best: Configuration | None


def tune_segments(
    found: Tuned,
    knobs: Knobs,
    attribute: Attribute,
    *,
    folds: int = 5,
    alpha: float = 0.05,
    progress: Progress | None = None,
) -> tuple[SegmentTuned, ...]:
    """Tune for each segment and compare with what was chosen for everybody, on held-out learners of the segment.

    Args:
        found: for everybody, with as many folds.
        knobs: what is turned.
        attribute: the segment of each learner of the problem.
        folds: outer folds, those of `found`.
        alpha: chance of any false "own parameters".
        progress: called with (what, done, total).

    Raises:
        InputError: other folds than everybody's, or no segment is large enough.
    """
    if folds != len(found.chosen):
        raise InputError(
            f"{folds} folds for segments", expected=f"the {len(found.chosen)} folds that everybody's were judged by"
        )
    problem, seed = found.problem, found.seed
    told = progress or (lambda *_: None)
    rows: list[tuple[str, int, Gain | None]] = []
    for code, name in enumerate(attribute.names):
        told("segments", code, len(attribute.names))
        own = problem.known[attribute.codes[problem.known] == code]
        if len(own) < FEWEST_LEARNERS:
            rows.append((name, len(own), None))
            continue
        common, alone = [], []
        outer = outer_folds(problem, problem.known, folds, seed)
        for fold, (training, held_out) in enumerate(outer):
            training_own = training[np.isin(training, own)]
            held_out_own = held_out[np.isin(held_out, own)]
            # The search starts from what this fold chose: found.best has seen the learners who are held out here.
            start = found.chosen[fold]
            own_best = choose(problem, replace(knobs, base=start), training_own, found.trials, seed).best
            common.append(problem.score(start, training, held_out_own, seed))
            alone.append(problem.score(own_best, training_own, held_out_own, seed))
        rows.append((name, len(own), gain_of(np.array(common), np.array(alone), 1 / (folds - 1), 1 - alpha)))
    tried = [gain for _, _, gain in rows if gain is not None]
    if not tried:
        raise InputError(
            f"no segment has the {FEWEST_LEARNERS} learners that tuning takes; the largest has "
            f"{max((count for _, count, _ in rows), default=0)}"
        )
    everybody = replace(knobs, base=found.best)
    adjusted = iter(np.exp(holm(np.log(np.maximum([gain.p_value for gain in tried], 1e-300)))).tolist())
    answers = []
    for code, (name, count, gain) in enumerate(rows):
        p = next(adjusted) if gain is not None else 1.0
        own = problem.known[attribute.codes[problem.known] == code]
        best = choose(problem, everybody, own, found.trials, seed).best if gain is not None and p <= alpha else None
        answers.append(SegmentTuned(name, count, gain, p, best))
    return tuple(answers)
