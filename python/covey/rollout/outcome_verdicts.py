"""Verdicts on what learners do after an answer: revenue, engagement, and their spread over segments."""

from __future__ import annotations

import math

from covey.rollout.model import RolloutState
from covey.rollout.outcomes import BURN_IN_NONZERO, BURN_IN_TICKS
from covey.rollout.questions import Question
from covey.rollout.segments import harmed_segments, segment_effects
from covey.rollout.sentences import NOT_ENOUGH, percent
from covey.rollout.units import rounded
from covey.stats import asymptotic_cs, chance_spread_bound, heterogeneity
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
    if state.phase_ticks < BURN_IN_TICKS or effect.fewest_nonzero < BURN_IN_NONZERO:
        verdict.sentence = (
            f"{statement.text}: {percent(effect.estimate)} in {learners}; {NOT_ENOUGH}: it needs {BURN_IN_TICKS} looks "
            f"and {BURN_IN_NONZERO} learners with an outcome on each side, "
            f"has {state.phase_ticks} and {effect.fewest_nonzero}"
        )
        return verdict
    n = effect.candidate_learners
    lower, upper = (float(end) for end in asymptotic_cs(effect.estimate, effect.variance * n, n, question.alpha))
    verdict.lower, verdict.upper = rounded(lower), rounded(upper)
    variance = effect.variance_against(statement.limit) * n
    shown_above = _end(effect.estimate, variance, n, question.alpha, "lower") > statement.limit
    # Triggers of one family divide its alpha: confidence sequences have no mean of e-values.
    alpha = question.alpha / question.sharers if question.is_trigger else question.refutation_alpha
    below = _end(effect.estimate, variance, n, alpha, "upper") if alpha > 0 else math.inf
    shown_below = below < statement.limit
    if shown_above:
        verdict.result = Verdict.RESULT_PASS
    elif shown_below:
        verdict.result = Verdict.RESULT_FAIL
    said = f"{percent(effect.estimate)} in {learners}, between {percent(lower)} and {percent(upper)}"
    verdict.sentence = f"{statement.text}: {said}; {_says(question, verdict.result)}"
    return verdict


def segments_verdict(state: RolloutState, question: Question) -> Verdict:
    """How much the relative effect differs between segments, by the upper bound of its spread."""
    statement = question.statement
    verdict = _verdict(question, SEGMENTS_TEST)
    found = segment_effects(state, statement)
    names = [name for name, _ in found]
    effects = [(name, effect) for name, effect in found if effect is not None]
    harmed = harmed_segments(state, statement, question.refutation_alpha)
    usable = [effect for _, effect in effects if effect.variance > 0 and effect.fewest_nonzero >= BURN_IN_NONZERO]
    verdict.trial_count = sum(effect.candidate_learners for _, effect in effects)
    if len(usable) < max(2, len(names)) and not harmed:
        verdict.sentence = (
            f"{statement.text}: {len(usable)} of {len(names)} segments have {BURN_IN_NONZERO} learners with an outcome "
            f"on each side, and it takes two or more; {NOT_ENOUGH}"
        )
        return verdict
    said = []
    if len(usable) > 1:
        errors = [math.sqrt(effect.variance) for effect in usable]
        spread = heterogeneity([effect.estimate for effect in usable], errors)
        verdict.estimate = rounded(math.sqrt(spread.tau2))
        verdict.lower, verdict.upper = 0.0, rounded(max(spread.tau_upper, chance_spread_bound(errors)))
        differs = f"{percent(verdict.estimate)} between {len(usable)} segments, at most {percent(verdict.upper)}"
        said.append(f"the effect differs by {differs}")
    if harmed:
        worst = harmed[0]
        verdict.result = Verdict.RESULT_FAIL
        verdict.log_e_value = worst.log_e
        said.append(f"segment '{worst.segment}' is harmed: {percent(worst.effect.estimate)}")
    elif verdict.upper < statement.limit:
        verdict.result = Verdict.RESULT_PASS
    verdict.sentence = f"{statement.text}: {'; '.join(said)}; {_says(question, verdict.result)}"
    return verdict


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


def _end(mean: float, variance: float, n: int, alpha: float, side: str) -> float:
    """The bounded end of the one-sided sequence, rounded."""
    if side == "lower":
        return rounded(float(asymptotic_cs(mean, variance, n, alpha, side="lower")[0]))
    return rounded(float(asymptotic_cs(mean, variance, n, alpha, side="upper")[1]))


def _says(question: Question, result: Verdict.Result.ValueType) -> str:
    if result == Verdict.RESULT_PASS:
        return "excluded" if question.is_trigger else "shown"
    if result == Verdict.RESULT_FAIL:
        return "shown" if question.is_trigger else "refuted"
    return "not shown" if question.is_trigger else NOT_ENOUGH
