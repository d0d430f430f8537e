"""What the tests say to the questions that count events, from what the gates remember; numbers only, no words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from covey.rollout.model import RolloutState
from covey.rollout.questions import Question
from covey.rollout.units import rounded
from covey.rollout.weighing import (
    Weighed,
    affected_learners,
    design_effect,
    relative_counts,
    shed_requests,
    weigh_criteria,
    weigh_triggers,
)
from covey.v1.evidence_pb2 import Verdict

LEVEL_GUARANTEE = "always valid for independent requests; each tick is divided by the design effect"
STARTS = ", over the time of onset"
RATIO_GUARANTEE = "always valid for counts; widened by what differs between learners"
FLOOR_TEST = "bernoulli_level at the error floor"


@dataclass(frozen=True)
class Test:
    """One test of an answer.

    Attributes:
        name: function of covey.stats.
        guarantee: what it promises.
        log_e: ln E of what the statement needs, rounded.
        null_value: the level or ratio that was tested.
        estimate: of that level or ratio; None without data.
    """

    name: str
    guarantee: str
    log_e: float
    null_value: float
    estimate: float | None = None


@dataclass(frozen=True)
class Answer:
    """What the tests say.

    Attributes:
        result: PASS, FAIL or INSUFFICIENT.
        log_e: the smallest of what a criterion needs; what a trigger's harm has.
        log_threshold: what it must reach.
        tests: one per test.
        design_effect: that the evidence was divided by in the last tick.
        baseline_events, baseline_trials: where the baseline was compared.
        affected_learners: shards with a failure of the candidate: at least so many learners met one.
        shed: requests that the candidate refused for overload, where the baseline was compared.
    """

    result: Verdict.Result.ValueType
    log_e: float
    log_threshold: float
    tests: tuple[Test, ...] = ()
    design_effect: float = 1.0
    baseline_events: int = 0
    baseline_trials: int = 0
    affected_learners: int = 0
    shed: int = 0


def answer_criteria(state: RolloutState, questions: Sequence[Question]) -> list[Answer]:
    """To questions of criteria that counters answer."""
    if not questions:
        return []
    rows = state.gates.criteria
    assert rows is not None  # a phase is in force
    nulls = [float(rows.null_ratio[question.row]) for question in questions]
    return _answers(state, questions, weigh_criteria(state, questions), nulls, starts="")


def answer_triggers(state: RolloutState, questions: Sequence[Question], *, full: bool) -> list[Answer]:
    """To questions of triggers that counters answer.

    Args:
        state: the evidence.
        questions: of triggers.
        full: whether to see if harm is excluded, too; the result FAIL does not depend on it.
    """
    if not questions:
        return []
    nulls = [float(state.plan.gates.triggers.null_ratio[question.row]) for question in questions]
    starts = STARTS if state.gates.over_start_times else ""
    return _answers(state, questions, weigh_triggers(state, questions, full=full), nulls, starts=starts)


def _answers(
    state: RolloutState, questions: Sequence[Question], weighed: Weighed, nulls: Sequence[float], *, starts: str
) -> list[Answer]:
    answers = []
    for place, question in enumerate(questions):
        is_trigger, has_level = question.is_trigger, bool(weighed.has_level[place])
        mine, rival = relative_counts(state, question)
        tests = []
        if has_level:
            name = f"level_increments{starts}" if is_trigger else "bernoulli_level"
            log_e = rounded(float(weighed.level[place]))
            estimate = question.events / question.trials if question.trials else None
            tests.append(Test(name, LEVEL_GUARANTEE, log_e, question.statement.event_limit, estimate))
        if weighed.compared[place]:
            name = f"rate_ratio or {FLOOR_TEST}" if has_level and not is_trigger else f"rate_ratio{starts}"
            log_e = rounded(float(weighed.ratio[place]))
            tests.append(Test(name, RATIO_GUARANTEE, log_e, nulls[place], _ratio(mine, rival)))
        least = min((test.log_e for test in tests), default=0.0)
        answers.append(
            Answer(
                weighed.results[place],
                rounded(float(weighed.own[place])) if is_trigger else least,
                float(weighed.thresholds[place]),
                tuple(tests),
                design_effect(state, question),
                rival[0] if weighed.compared[place] else 0,
                rival[1] if weighed.compared[place] else 0,
                affected_learners(state, question),
                shed_requests(state, question) if weighed.compared[place] else 0,
            )
        )
    return answers


def _ratio(mine: tuple[int, int], rival: tuple[int, int]) -> float | None:
    """Candidate's rate over the baseline's; None where it has no number."""
    if not mine[1] or not rival[0]:
        return None
    return rounded(mine[0] / mine[1] / (rival[0] / rival[1]))
