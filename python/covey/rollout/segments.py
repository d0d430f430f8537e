"""Harm to one segment that the total may hide, with the chance of a false call bounded over all segments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from covey.rollout.model import RolloutState
from covey.rollout.outcomes import BURN_IN_NONZERO, BURN_IN_TICKS, RelativeEffect
from covey.rollout.statement import Statement
from covey.rollout.units import rounded
from covey.stats import e_bh, mixture_sprt
from covey.stats.special import Floats

_ROUNDING = 1e-8
FOLDED_SEGMENT = "other"
"""Many small segments under one label: nobody can tell its learners by the segment that their requests name."""


@dataclass(frozen=True)
class Harm:
    """A segment that the candidate harms.

    Attributes:
        segment: its name.
        effect: the outcome's relative change there.
        log_e: ln E against "no change", rounded.
    """

    segment: str
    effect: RelativeEffect
    log_e: float


def segment_effects(state: RolloutState, statement: Statement) -> list[tuple[str, RelativeEffect | None]]:
    """The outcome's relative effect in each segment that still gets the candidate, by name."""
    excluded = state.excluded_segments
    effects = state.effects.get(statement.argument, {})
    return [(name, effect) for name, effect in effects.items() if name and name not in excluded]


def harm_log_e(estimates: Floats, variances: Floats, limit: float) -> Floats:
    """Ln E against "no change", of any shape; minus infinity where the estimate does not fall.

    Args:
        estimates: relative effects.
        variances: of those estimates, above 0.
        limit: size of the effects that are expected.
    """
    return np.where(estimates < 0, mixture_sprt(estimates, variances, limit**2), -np.inf)


def harmed_segments(state: RolloutState, statement: Statement, alpha: float) -> list[Harm]:
    """Segments whose outcome falls, by the e-Benjamini-Hochberg procedure over all segments, worst first.

    A fall is harm where its estimate reaches the statement's limit: what "segments(engagement) < 5 %" tolerates.

    Args:
        state: the evidence.
        statement: about the spread between segments.
        alpha: false discovery rate, and so the chance of any false call where no segment is harmed.

    Each segment's e-value is that of `mixture_sprt`, with effects of the size of the limit expected: asymptotically
    valid at every look after the burn-in.
    """
    if alpha <= 0 or state.phase_ticks < BURN_IN_TICKS:
        return []
    effects = segment_effects(state, statement)
    if not effects:
        return []
    known = [
        effect if effect is not None and effect.fewest_nonzero >= BURN_IN_NONZERO else None for _, effect in effects
    ]
    if not any(effect is not None and _falls(effect, statement.limit) for effect in known):
        return []  # mostly none falls so far, and no e-value is asked for
    estimates = np.array([0.0 if effect is None else effect.estimate for effect in known])
    variances = np.array(
        [1.0 if effect is None else max(effect.variance_against(0.0), np.finfo(float).tiny) for effect in known]
    )
    log_e = harm_log_e(estimates, variances, statement.limit)
    found = [
        Harm(effects[index][0], effect, rounded(float(log_e[index])))
        for index in e_bh(log_e, alpha)
        if (effect := known[index]) is not None and _falls(effect, statement.limit)
    ]
    return sorted(found, key=lambda harm: harm.effect.estimate)


def _falls(effect: RelativeEffect, limit: float) -> bool:
    """Whether the estimate is a fall of what the statement tolerates, or more."""
    # Most are nowhere near; rounding to 9 digits moves an estimate by less than this.
    return effect.estimate <= (_ROUNDING - 1) * limit and rounded(effect.estimate) <= -limit
