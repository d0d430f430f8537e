"""TuneAnalyzer: the request as arguments of the library, its answer as a message."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.json_format import ParseDict

from covey.cohort_message import trait_vector
from covey.errors import InputError
from covey.tune import Configuration, Goal, Knobs, Problem, tune, tune_segments
from covey.tune.configuration import KINDS, MOST_COHORTS
from covey.tune.files import check_names, drafts
from covey.tune.search import POPULATION
from covey.tune.words import verdict
from covey.v1 import tuning_pb2
from covey_server.catalogue.names import checked_name
from covey_server.catalogue.parameters import parameters_message
from covey_server.errors import CallError, invalid
from covey_server.studies.fields import confidence_of, instant_of, seed_of
from covey_server.violations import Violations

if TYPE_CHECKING:
    from covey.events import Events
    from covey.tune import SegmentTuned, Tuned
    from covey.tune.search import Gain

MOST_LEARNER_TRIALS = 20_000_000
"""Trials x (folds + 1) x learners, twice with segments: half a minute of a core or more (docs/tuning.md)."""
MOST_EVENT_TRIALS = 10_000_000_000
"""Trials x (folds + 1) x events: traits are computed anew for each set of their parameters."""
_Request = tuning_pb2.TuneAnalyzerRequest
_GOALS = {
    _Request.OBJECTIVE_STABILITY: Goal.stability,
    _Request.OBJECTIVE_SEPARATION: Goal.separation,
    _Request.OBJECTIVE_OUTCOME: Goal.outcome,
}
_TURNED = {
    _Request.CONSTANTS_PARAMETERS: "parameters",
    _Request.CONSTANTS_WEIGHTS: "weights",
    _Request.CONSTANTS_COHORT_COUNT: "k",
}


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked, checked."""

    goal: Goal
    knobs: Knobs
    trials: int
    folds: int
    seed: int
    confidence: float
    name: str
    baseline: str
    prove: str


def tune_analyzer(
    request: tuning_pb2.TuneAnalyzerRequest, events: Callable[[], Events], threads: int
) -> tuning_pb2.TuneAnalyzerResponse:
    """Tune and answer.

    Args:
        request: what is asked.
        events: loads them, once the request is known to be sound.
        threads: at most so many.

    Raises:
        CallError: INVALID_ARGUMENT for fields out of range, FAILED_PRECONDITION for more work than one call may be.
        InputError: the request does not fit the events.
    """
    asked = _checked(request)
    as_of_us = instant_of(request.as_of, "as_of", request.HasField("as_of"))
    if asked.goal is Goal.outcome and as_of_us is None:
        raise invalid("as_of", "say until when events are looked at; outcomes must come after it")
    outcomes = _outcomes(request) if request.outcomes else None
    given = events()
    problem = Problem.of(given, asked.goal, as_of_us, outcomes, threads)
    _check_work(asked, len(problem.known), len(given), has_segments=bool(request.segments))
    segments = _attribute(problem, request) if request.segments else None
    found = tune(
        problem, asked.knobs, trials=asked.trials, folds=asked.folds, seed=asked.seed, confidence=asked.confidence
    )
    own: tuple[SegmentTuned, ...] = ()
    if segments is not None:
        own = tune_segments(found, asked.knobs, segments, folds=asked.folds, alpha=1 - asked.confidence)
    message = _message(found, own)
    if found.gain.is_shown or request.draft_anyway:
        _add_drafts(message, found, asked, request.dataset)
    return message


def _checked(request: tuning_pb2.TuneAnalyzerRequest) -> _Asked:
    wrong = Violations()
    if request.objective not in _GOALS:
        wrong.add("objective", "name one: OBJECTIVE_STABILITY, OBJECTIVE_SEPARATION or OBJECTIVE_OUTCOME")
    elif (request.objective == _Request.OBJECTIVE_OUTCOME) != bool(request.outcomes):
        wrong.add("outcomes", "they are given with OBJECTIVE_OUTCOME, and only with it")
    for number, constants in enumerate(request.constants):
        if constants not in _TURNED:
            wrong.add(f"constants[{number}]", f"{constants} is none that can be tuned")
    fewest, most = request.fewest_cohort_count or 2, request.most_cohort_count or 12
    default = request.default_cohort_count or 4
    if not 2 <= fewest <= most <= MOST_COHORTS:
        wrong.add("fewest_cohort_count", f"{fewest} to {most} cohorts; expected 2 to {MOST_COHORTS}, fewest first")
    if not 2 <= default <= MOST_COHORTS:
        wrong.add("default_cohort_count", f"{default} is not 2 to {MOST_COHORTS}")
    trials, folds = request.trial_count or 60, request.fold_count or 5
    if trials < 2 * POPULATION:
        wrong.add("trial_count", f"{trials} is below {2 * POPULATION}")
    if not 3 <= folds <= 20:
        wrong.add("fold_count", f"{folds} is not 3 to 20")
    wrong.raise_if_any()
    name, baseline = request.variant_id or "tuned", request.baseline or "variants/native"
    prove = request.prove or "engagement > 0 %"
    checked_name("variant_id", f"variants/{name}", "variants")
    checked_name("baseline", baseline, "variants")
    if baseline == f"variants/{name}":
        raise invalid("baseline", f"it is the variant that is drafted, {baseline}")
    try:
        check_names(name, baseline, prove)  # what is wrong is said before the work
    except InputError as error:
        raise invalid("prove", str(error)) from None
    turned = tuple(_TURNED[own] for own in dict.fromkeys(request.constants)) or KINDS
    return _Asked(
        _GOALS[request.objective],
        Knobs(Configuration.default(default), turned, fewest, most),
        trials,
        folds,
        seed_of(request.seed),
        confidence_of(request),
        name,
        baseline,
        prove,
    )


def _check_work(asked: _Asked, learner_count: int, event_count: int, *, has_segments: bool) -> None:
    rounds = asked.trials * (asked.folds + 1) * (2 if has_segments else 1)
    for what, count, most in (
        ("learners", learner_count, MOST_LEARNER_TRIALS),
        ("events", event_count if "parameters" in asked.knobs.turned else 0, MOST_EVENT_TRIALS),
    ):
        if rounds * count > most:
            raise CallError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"{asked.trials} trials x {asked.folds + 1}{' x 2 for segments' if has_segments else ''} x "
                f"{count:,} {what} are {rounds * count:,}, and a call may be {most:,}: ask for fewer trials or folds, "
                "or use `covey tune` or covey.tune, which have no bound",
                reason="TOO_MUCH_WORK",
                metadata={"work": str(rounds * count), "most": str(most)},
            )


def _outcomes(request: tuning_pb2.TuneAnalyzerRequest) -> Any:
    import pyarrow as pa

    return pa.table(
        {
            "learner_id": pa.array([own.learner_id for own in request.outcomes], pa.large_string()),
            "outcomes": pa.array([own.value for own in request.outcomes], pa.float64()),
        }
    )


def _attribute(problem: Problem, request: tuning_pb2.TuneAnalyzerRequest) -> Any:
    import pyarrow as pa

    from covey.together.space import Space

    table = pa.table(
        {
            "learner_id": pa.array([own.learner_id for own in request.segments], pa.large_string()),
            "segment": pa.array([own.segment for own in request.segments], pa.string()),
        }
    )
    space = Space.of(problem.events.traits(problem.as_of_us, threads=problem.threads))
    return space.with_attributes(table, "learner_id", ["segment"], "segments").attribute("segment")


def _message(found: Tuned, segments: tuple[SegmentTuned, ...]) -> tuning_pb2.TuneAnalyzerResponse:
    message = tuning_pb2.TuneAnalyzerResponse(
        learner_count=len(found.problem.known),
        score=found.problem.unit,
        gain=_gain(found.gain),
        verdict=verdict(found),
        default_configuration=_configuration(found.default),
        best=_configuration(found.best),
        chosen_by_fold=[_configuration(own) for own in found.chosen],
    )
    message.as_of.FromMicroseconds(found.problem.as_of_us)
    for own in segments:
        message.segments.add(
            segment=own.name,
            learner_count=own.learner_count,
            gain=None if own.gain is None else _gain(own.gain),
            adjusted_p_value=own.adjusted_p,
            best=None if own.best is None else _configuration(own.best),
        )
    return message


def _gain(own: Gain) -> tuning_pb2.TuningGain:
    return tuning_pb2.TuningGain(
        default_scores=own.default.tolist(),
        tuned_scores=own.tuned.tolist(),
        mean=own.mean,
        low=own.low,
        high=own.high,
        p_value=own.p_value,
        is_shown=bool(own.is_shown),
    )


def _configuration(own: Configuration) -> tuning_pb2.TunedConfiguration:
    return tuning_pb2.TunedConfiguration(
        trait_parameters=parameters_message(own.parameters),
        trait_weights=trait_vector(own.weights),
        cohort_count=own.k,
    )


def _add_drafts(message: tuning_pb2.TuneAnalyzerResponse, found: Tuned, asked: _Asked, dataset: str) -> None:
    own = drafts(found, asked.name, asked.baseline, asked.prove, dataset=dataset)
    texts = own.texts()
    ParseDict(own.variant, message.drafts.variant)
    ParseDict(own.discovery, message.drafts.discovery)
    message.drafts.rollout.CopyFrom(own.rollout)
    message.drafts.variant_yaml = texts["variant.yaml"]
    message.drafts.discovery_yaml = texts["discovery.yaml"]
    message.drafts.rollout_yaml = texts["rollout.yaml"]
