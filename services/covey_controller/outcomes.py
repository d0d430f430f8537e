"""What learners did, from a metrics page: moments per outcome and variant, and how many learners saw which variant."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from covey.rollout.statement import Statement, parse_statement, statement_texts
from covey.v1 import evidence_pb2 as pb
from covey.v1 import rollout_spec_pb2
from covey_controller import page as names
from covey_controller.page import Labels, Page, whole
from covey_controller.scrape import AbsenceError

_Key = tuple[str, str, str]


def outcome_metrics(spec: rollout_spec_pb2.RolloutSpec) -> frozenset[str]:
    """Outcomes that a criterion or a trigger of the spec is about."""
    return frozenset(statement.argument for statement in statements_of(spec) if statement.argument)


def statements_of(spec: rollout_spec_pb2.RolloutSpec) -> list[Statement]:
    """Every statement of the spec's criteria and triggers."""
    return [parse_statement(text) for text in statement_texts(spec)]


def read_learners(page: Page, variants: Collection[str]) -> tuple[pb.LearnerCount, ...]:
    """Distinct learners first exposed in this phase, by variant and segment.

    Raises:
        AbsenceError: when the page cannot be believed about them or does not have them.
    """
    samples = page.counters(names.LEARNERS, lambda labels: labels.get("variant") in variants)
    return tuple(
        pb.LearnerCount(variant=labels["variant"], segment=labels.get("segment", ""), learner_count=count)
        for labels, count in samples
    )


def read_outcomes(page: Page, variants: Collection[str], metrics: Collection[str]) -> tuple[pb.OutcomeMoments, ...]:
    """Moments of the outcomes that the spec is about; empty where it is about none.

    A metric without any outcome so far has no series; its statements are then judged as having no data.

    Raises:
        AbsenceError: when a number is broken, or the five gauges of an outcome, or those of its covariate, are not all
            there.
    """
    if not metrics:
        return ()

    def wanted(labels: Labels) -> bool:
        return labels.get("metric") in metrics and labels.get("variant") in variants

    counts = page.counters(names.OUTCOME_COUNT, wanted)
    sums = _by_key(page, names.OUTCOME_SUM, wanted)
    squares = _by_key(page, names.OUTCOME_SUM_OF_SQUARES, wanted)
    centers = _by_key(page, names.OUTCOME_CENTER, wanted)
    nonzero = _by_key(page, names.OUTCOME_NONZERO, wanted)
    covariates = _covariates(page, wanted)
    moments = []
    for labels, count in counts:
        key = _key(labels)
        if not (key in sums and key in squares and key in centers and key in nonzero):
            raise AbsenceError(pb.ABSENCE_TYPE_NO_SERIES, names.OUTCOME_SUM, f"{key} has not all of its gauges")
        if squares[key] < 0:
            raise AbsenceError(
                pb.ABSENCE_TYPE_NAN, names.OUTCOME_SUM_OF_SQUARES, f"{squares[key]} is no sum of squares"
            )
        moments.append(
            pb.OutcomeMoments(
                metric=key[0],
                variant=key[1],
                segment=key[2],
                learner_count=count,
                sum=sums[key],
                sum_of_squares=squares[key],
                center=centers[key],
                nonzero_count=whole(names.OUTCOME_NONZERO, labels, nonzero[key]),
                **covariates.get(key, {}),
            )
        )
    return tuple(moments)


def _key(labels: Labels) -> _Key:
    return labels["metric"], labels["variant"], labels.get("segment", "")


def _covariates(page: Page, wanted: names.Matches) -> dict[_Key, dict[str, Any]]:
    """Fields of the outcomes that have a covariate."""
    series = page.select(names.OUTCOME_CROSS, wanted)
    if not series:
        return {}
    sums, squares, centers = (
        {(_key(labels), labels.get("covariate", "")): value for labels, value in page.select(name, wanted)}
        for name in (names.COVARIATE_SUM, names.COVARIATE_SUM_OF_SQUARES, names.COVARIATE_CENTER)
    )
    found: dict[_Key, dict[str, Any]] = {}
    for labels, cross in series:
        key, covariate = _key(labels), labels.get("covariate", "")
        place = key, covariate
        if key in found:
            raise AbsenceError(pb.ABSENCE_TYPE_DUPLICATE_SERIES, names.OUTCOME_CROSS, f"{key} has two covariates")
        if not covariate or place not in sums or place not in squares or place not in centers:
            raise AbsenceError(pb.ABSENCE_TYPE_NO_SERIES, names.OUTCOME_CROSS, f"{place} has not all of its gauges")
        if squares[place] < 0:
            detail = f"{squares[place]} is no sum of squares"
            raise AbsenceError(pb.ABSENCE_TYPE_NAN, names.COVARIATE_SUM_OF_SQUARES, detail)
        found[key] = {
            "covariate": covariate,
            "covariate_sum": sums[place],
            "covariate_sum_of_squares": squares[place],
            "cross_sum": cross,
            "covariate_center": centers[place],
        }
    return found


def _by_key(page: Page, name: str, wanted: names.Matches) -> dict[_Key, float]:
    return {_key(labels): value for labels, value in page.select(name, wanted)}
