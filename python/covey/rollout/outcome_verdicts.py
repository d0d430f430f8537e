"""Verdicts on what learners do after an answer: revenue, engagement, and their spread over segments."""

from __future__ import annotations

import math
from collections.abc import Sequence

from covey.rollout.model import RolloutState
from covey.rollout.outcomes import BURN_IN_NONZERO, BURN_IN_TICKS, RelativeEffect
from covey.rollout.questions import Question
from covey.rollout.segments import harmed_segments, segment_effects
from covey.rollout.sentences import NOT_ENOUGH, percent
from covey.rollout.units import rounded
from covey.stats import asymptotic_cs, chance_spread_bound, heterogeneity
from covey.stats.means import spread_bound
from covey.v1.evidence_pb2 import Verdict

EFFECT_TEST = "asymptotic_cs: confidence sequence of the relative effect, asymptotically valid at every look"
SEGMENTS_TEST = "heterogeneity: upper bound of the spread between segments, valid at one planned look"


def outcome_verdict(state: RolloutState, question: Question) -> Verdict:
    """A relative effect against its limit, by a confidence sequence that may be looked at every tick."""
    statement = question.statement
    verdict = _verdict(question, EFFECT_TEST)
    effect = state.effects.get(statement.argument, {}).get("")
    if effect is None:
        verdict.sentence = (
            f"{statement.text}: no outcomes of '{statement.argument}' are known for both variants yet; {NOT_ENOUGH}"
        )
        return verdict
    verdict.trial_count = effect.candidate_learners
    verdict.estimate = rounded(effect.estimate)
    learners = f"{effect.candidate_learners:,} candidate and {effect.baseline_learners:,} baseline learners"
    if not _burnt_in(state, effect):
        verdict.sentence = (
            f"{statement.text}: {percent(effect.estimate)} in {learners}; {NOT_ENOUGH}: it needs {BURN_IN_TICKS} looks "
            f"and {BURN_IN_NONZERO} learners with an outcome on each side, "
            f"has {state.phase_ticks} and {effect.fewest_nonzero}"
        )
        return verdict
    n = effect.candidate_learners
    lower, upper = (float(end) for end in asymptotic_cs(effect.estimate, effect.variance * n, n, question.alpha))
    verdict.lower, verdict.upper = rounded(lower), rounded(upper)
    verdict.result = outcome_result(state, question)
    said = f"{percent(effect.estimate)} in {learners}, between {percent(lower)} and {percent(upper)}"
    verdict.sentence = f"{statement.text}: {said}; {_says(question, verdict.result)}"
    return verdict


def outcome_result(state: RolloutState, question: Question) -> Verdict.Result.ValueType:
    """The result of `outcome_verdict` alone: one end of a one-sided sequence against the limit for each answer."""
    effect = state.effects.get(question.statement.argument, {}).get("")
    if effect is None or not _burnt_in(state, effect):
        return Verdict.RESULT_INSUFFICIENT
    limit, n = question.statement.limit, effect.candidate_learners
    variance = effect.variance_against(limit) * n
    # Triggers of one family divide its alpha: confidence sequences have no mean of e-values.
    alpha = question.alpha / question.sharers if question.is_trigger else question.refutation_alpha
    # An estimate on one side of the limit shows nothing about the other.
    if effect.estimate > limit:
        lower = rounded(float(asymptotic_cs(effect.estimate, variance, n, question.alpha, side="lower")[0]))
        return Verdict.RESULT_PASS if lower > limit else Verdict.RESULT_INSUFFICIENT
    if alpha <= 0:
        return Verdict.RESULT_INSUFFICIENT
    upper = rounded(float(asymptotic_cs(effect.estimate, variance, n, alpha, side="upper")[1]))
    return Verdict.RESULT_FAIL if upper < limit else Verdict.RESULT_INSUFFICIENT


def _burnt_in(state: RolloutState, effect: RelativeEffect) -> bool:
    """Whether there is enough for the asymptotic guarantee."""
    return state.phase_ticks >= BURN_IN_TICKS and effect.fewest_nonzero >= BURN_IN_NONZERO


def segments_verdict(state: RolloutState, question: Question) -> Verdict:
    """How much the relative effect differs between segments, by the upper bound of its spread."""
    statement = question.statement
    verdict = _verdict(question, SEGMENTS_TEST)
    found = segment_effects(state, statement)
    harmed = harmed_segments(state, statement, question.refutation_alpha)
    usable = _usable(found)
    verdict.trial_count = sum(effect.candidate_learners for _, effect in found if effect is not None)
    if len(usable) < max(2, len(found)) and not harmed:
        verdict.sentence = (
            f"{statement.text}: {len(usable)} of {len(found)} segments have {BURN_IN_NONZERO} learners with an outcome "
            f"on each side, and it takes two or more; {NOT_ENOUGH}"
        )
        return verdict
    said = []
    if len(usable) > 1:
        spread = heterogeneity([effect.estimate for effect in usable], _errors(usable))
        verdict.estimate = rounded(math.sqrt(spread.tau2))
        verdict.lower, verdict.upper = 0.0, _largest_spread(usable)
        differs = f"{percent(verdict.estimate)} between {len(usable)} segments, at most {percent(verdict.upper)}"
        said.append(f"the effect differs by {differs}")
    verdict.result = segments_result(state, question)
    if harmed:
        worst = harmed[0]
        verdict.log_e_value = worst.log_e
        said.append(f"segment '{worst.segment}' is harmed: {percent(worst.effect.estimate)}")
    verdict.sentence = f"{statement.text}: {'; '.join(said)}; {_says(question, verdict.result)}"
    return verdict


def segments_result(state: RolloutState, question: Question) -> Verdict.Result.ValueType:
    """The result of `segments_verdict` alone."""
    statement = question.statement
    if harmed_segments(state, statement, question.refutation_alpha):
        return Verdict.RESULT_FAIL
    found = segment_effects(state, statement)
    usable = _usable(found)
    if len(usable) < max(2, len(found)) or _largest_spread(usable) >= statement.limit:
        return Verdict.RESULT_INSUFFICIENT
    return Verdict.RESULT_PASS


def _usable(found: Sequence[tuple[str, RelativeEffect | None]]) -> list[RelativeEffect]:
    """The effects of segments that have enough learners with an outcome."""
    return [
        effect
        for _, effect in found
        if effect is not None and effect.variance > 0 and effect.fewest_nonzero >= BURN_IN_NONZERO
    ]


def _errors(effects: Sequence[RelativeEffect]) -> list[float]:
    return [math.sqrt(effect.variance) for effect in effects]


def _largest_spread(effects: Sequence[RelativeEffect]) -> float:
    """How much the effects of segments may differ: what their estimates leave open, and never less than chance does."""
    errors = _errors(effects)
    return rounded(max(spread_bound([effect.estimate for effect in effects], errors), chance_spread_bound(errors)))


def _verdict(question: Question, test: str) -> Verdict:
    return Verdict(
        role=question.role,
        statement=question.statement.text,
        result=Verdict.RESULT_INSUFFICIENT,
        test=test,
        limit=question.statement.limit,
        alpha=question.alpha,
        design_effect=1.0,
        report_only=question.report_only,
    )


def _says(question: Question, result: Verdict.Result.ValueType) -> str:
    if result == Verdict.RESULT_PASS:
        return "excluded" if question.is_trigger else "shown"
    if result == Verdict.RESULT_FAIL:
        return "shown" if question.is_trigger else "refuted"
    return "not shown" if question.is_trigger else NOT_ENOUGH
