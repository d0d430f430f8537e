"""Outcome moments and learner counts of a page."""

from __future__ import annotations

import pytest

from covey.rollout.spec import load_spec
from covey.v1 import evidence_pb2 as pb
from covey_controller.outcomes import outcome_metrics, read_learners, read_outcomes
from covey_controller.page import Page
from covey_controller.scrape import AbsenceError

from .pages import BASELINE, CANDIDATE, page

VARIANTS = (BASELINE, CANDIDATE)
GAUGES = ("count", "sum", "sumsq", "center", "nonzero")


def outcome_lines(**changed: str) -> str:
    """The five gauges of engagement for both variants, in one segment and in all; one may be changed."""
    values = {"count": "40", "sum": "-12.5", "sumsq": "90.25", "center": "5", "nonzero": "31"} | changed
    lines = []
    for gauge in GAUGES:
        if values[gauge]:
            for variant in VARIANTS:
                for segment in ("", "north"):
                    labels = f'metric="engagement",variant="{variant}",segment="{segment}"'
                    lines.append(f"covey_outcome_{gauge}{{{labels}}} {values[gauge]}\n")
    return "".join(lines)


def parse(text: str) -> Page:
    return Page(text, lines=1000, oldest_timestamp=0.0)


def test_moments_are_read_by_variant_and_segment() -> None:
    moments = read_outcomes(parse(page() + outcome_lines()), VARIANTS, {"engagement"})
    assert {(one.variant, one.segment) for one in moments} == {(v, s) for v in VARIANTS for s in ("", "north")}
    one = moments[0]
    assert one.metric == "engagement"
    assert (one.learner_count, one.sum, one.sum_of_squares, one.center, one.nonzero_count) == (40, -12.5, 90.25, 5, 31)


def test_outcomes_that_no_statement_is_about_are_left_alone() -> None:
    assert read_outcomes(parse(page() + outcome_lines()), VARIANTS, frozenset()) == ()
    assert read_outcomes(parse(page() + outcome_lines()), VARIANTS, {"revenue"}) == ()


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"sum": ""}, pb.ABSENCE_TYPE_NO_SERIES),
        ({"count": ""}, pb.ABSENCE_TYPE_NO_SERIES),
        ({"sum": "NaN"}, pb.ABSENCE_TYPE_NAN),
        ({"sumsq": "+Inf"}, pb.ABSENCE_TYPE_NAN),
        ({"sumsq": "-1"}, pb.ABSENCE_TYPE_NAN),
        ({"nonzero": "0.5"}, pb.ABSENCE_TYPE_NAN),
        ({"count": "-3"}, pb.ABSENCE_TYPE_NAN),
    ],
)
def test_broken_moments_are_a_typed_absence(changed: dict[str, str], kind: pb.AbsenceType.ValueType) -> None:
    with pytest.raises(AbsenceError) as caught:
        read_outcomes(parse(page() + outcome_lines(**changed)), VARIANTS, {"engagement"})
    assert caught.value.kind == kind


def test_learners_are_counted_by_variant() -> None:
    learners = read_learners(parse(page()), VARIANTS)
    assert {(count.variant, count.learner_count) for count in learners} == {(BASELINE, 1000), (CANDIDATE, 1000)}


def test_a_page_without_learners_is_an_absence() -> None:
    text = "".join(line for line in page().splitlines(keepends=True) if "covey_learners" not in line)
    with pytest.raises(AbsenceError, match="NO_SERIES"):
        read_learners(parse(text), VARIANTS)


def test_the_outcomes_of_a_spec_are_those_its_statements_name() -> None:
    spec = load_spec(
        """
target: analyzer
baseline: variants/reference
candidate: variants/native
phases:
  - name: canary
    traffic_share: 10 %
    hold: 1h
    criteria:
      - statement: error_rate < 1 %
        margin: 0
      - statement: revenue > -3 %
      - statement: segments(engagement) < 5 %
triggers:
  - statement: retention < -5 %
""",
        "plan",
    )
    assert outcome_metrics(spec) == {"revenue", "engagement", "retention"}


COVARIATE = {"cross": "12.5", "covariate_sum": "-3", "covariate_sumsq": "8", "covariate_center": "0.5"}


def covariate_lines(trait: str = "momentum", **changed: str) -> str:
    lines = []
    for gauge, value in (COVARIATE | changed).items():
        for variant in VARIANTS if value else ():
            labels = f'metric="engagement",variant="{variant}",segment="",covariate="{trait}"'
            lines.append(f"covey_outcome_{gauge}{{{labels}}} {value}\n")
    return "".join(lines)


def test_a_covariate_is_read_where_the_page_has_one() -> None:
    moments = read_outcomes(parse(page() + outcome_lines() + covariate_lines()), VARIANTS, {"engagement"})
    with_one = {(one.variant, one.segment) for one in moments if one.covariate == "momentum"}
    assert with_one == {(variant, "") for variant in VARIANTS}
    one = next(one for one in moments if one.covariate)
    assert (one.cross_sum, one.covariate_sum, one.covariate_sum_of_squares, one.covariate_center) == (12.5, -3, 8, 0.5)


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        (covariate_lines(covariate_sum=""), pb.ABSENCE_TYPE_NO_SERIES),
        (covariate_lines(covariate_center="NaN"), pb.ABSENCE_TYPE_NAN),
        (covariate_lines(covariate_sumsq="-8"), pb.ABSENCE_TYPE_NAN),
        (covariate_lines() + covariate_lines("recency_days"), pb.ABSENCE_TYPE_DUPLICATE_SERIES),
        (covariate_lines() + covariate_lines(), pb.ABSENCE_TYPE_DUPLICATE_SERIES),
    ],
)
def test_half_a_covariate_is_an_absence(lines: str, kind: pb.AbsenceType.ValueType) -> None:
    with pytest.raises(AbsenceError) as caught:
        read_outcomes(parse(page() + outcome_lines() + lines), VARIANTS, {"engagement"})
    assert caught.value.kind == kind
