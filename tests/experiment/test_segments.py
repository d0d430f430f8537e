"""The deep dive: published heterogeneity and paradox, level and coverage, harm under peeking, what to do in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from covey.errors import InputError
from covey.experiment import Design, SegmentsResult, SegmentVerdict, analyze_segments, parse_outcome, parse_segment
from covey.experiment.spread import harm_log_e, interaction_log_p, shrunken, spread_of
from covey.stats.rerandomisation import rejection_band

from . import published
from .test_coverage import RUNS, misses_fit

SLOW_RUNS = RUNS if RUNS >= 5000 else 250

N = 24_000
NAMES = np.array([f"s{i}" for i in range(8)])


def world(effects: dict[str, float], seed: int = 0, n: int = N, base: float = 1.0) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    segment = NAMES[random.integers(0, len(NAMES), n)]
    arm = random.integers(0, 2, n)
    lift = np.array([effects.get(name, effects.get("", 0.0)) for name in segment])
    return {
        "unit": np.arange(n),
        "variant": np.where(arm == 1, "b", "a"),
        "segment": segment,
        "device": np.array(["phone", "desk"])[random.integers(0, 2, n)],
        "y": base * random.exponential(1.0, n) + lift * arm,
        "before": random.normal(0, 1, n),
    }


def dive(data: dict[str, Any], *segments: str, outcome: str = "y=mean:y", **changes: Any) -> SegmentsResult:
    parts = tuple(parse_segment(text) for text in segments or ("segment",))
    return analyze_segments(data, Design((parse_outcome(outcome),), segments=parts, **changes))


def test_bcg_as_it_is_printed() -> None:
    """Viechtbauer (2010), and the documentation of metafor's confint: tau^2 between 0.1197 and 1.1115 by Q-profile;
    mean -0.7141 with tau^2 by DerSimonian and Laird (standard error 0.1787)."""
    rows = np.array(published.BCG, dtype=np.float64)
    treated, control = rows[:, 0] + rows[:, 1], rows[:, 2] + rows[:, 3]
    effects = np.log(rows[:, 0] / treated / (rows[:, 2] / control))
    errors = np.sqrt(1 / rows[:, 0] - 1 / treated + 1 / rows[:, 2] - 1 / control)
    found = spread_of(effects, errors, 0.05)
    assert (round(found.tau_low**2, 4), round(found.tau_high**2, 4)) == (0.1197, 1.1115)
    assert (round(found.mean, 4), round(found.mean_error, 4)) == (-0.7141, 0.1787)
    assert found.degrees == 12
    assert np.exp(found.log_p) == pytest.approx(scipy.stats.chi2.sf(152.233, 12), rel=1e-3)


def test_berkeley_is_a_paradox() -> None:
    """Bickel, Hammel, O'Connell (1975): 44 % of the men and 30 % of the women are admitted, and women not less often by
    department. Within departments by the plain sum over its six rows."""
    rows = [
        (f"{sex}{department}{i}", sex, department, int(i < admitted))
        for department, arms in published.BERKELEY.items()
        for sex, (admitted, applicants) in zip(("men", "women"), arms, strict=True)
        for i in range(applicants)
    ]
    table = dict(zip(("unit", "variant", "department", "admitted"), zip(*rows, strict=True), strict=True))
    result = dive({name: list(column) for name, column in table.items()}, "department", outcome="a=proportion:admitted",
                  planned_shares={"men": 2691, "women": 1835}, smallest_segment=20)  # fmt: skip
    (found,) = result.tables
    assert found.overall == pytest.approx(557 / 1835 - 1198 / 2691)
    sizes = np.array([sum(n for _, n in arms) for arms in published.BERKELEY.values()])
    gaps = [w / n - m / k for (m, k), (w, n) in published.BERKELEY.values()]
    assert found.within == pytest.approx(float((sizes * gaps).sum() / sizes.sum()))
    assert found.is_reversed
    assert "Simpson's paradox" in " ".join(one.text for one in result.recommendations)
    # Sex was not assigned at random within departments, and the table says so.
    assert result.balances[0].is_moved


def test_heterogeneity_holds_its_level_and_finds_what_is_there() -> None:
    random = np.random.default_rng(1)
    errors = np.array([0.2, 0.1, 0.3, 0.15, 0.25, 0.1, 0.2, 0.4])
    log_p = np.array([spread_of(random.normal(0.5, errors), errors, 0.05).log_p for _ in range(SLOW_RUNS)])
    fewest, most = rejection_band(SLOW_RUNS, 0.05, 0.999)
    assert fewest <= int((log_p < np.log(0.05)).sum()) <= most
    differing = [spread_of(random.normal(0.5, np.hypot(errors, 0.4)), errors, 0.05).log_p for _ in range(200)]
    assert np.mean(np.array(differing) < np.log(0.05)) > 0.8


def test_the_interval_of_the_spread_covers_it() -> None:
    random = np.random.default_rng(2)
    errors = np.array([0.2, 0.1, 0.3, 0.15, 0.25, 0.1, 0.2, 0.4])
    found = [spread_of(random.normal(0.5, np.hypot(errors, 0.3)), errors, 0.05) for _ in range(SLOW_RUNS)]
    misses_fit(np.array([one.tau_low for one in found]), np.array([one.tau_high for one in found]), 0.3)


def test_the_spread_of_whole_tables_holds_its_level() -> None:
    """From raw units of a skewed outcome, the estimates' errors estimated too."""
    runs = max(RUNS // 5, 200)
    random = np.random.default_rng(3)
    n, k = 200, 8
    draws = random.exponential(1.0, (runs, 2, k, n))
    means, variances = draws.mean(axis=3), draws.var(axis=3, ddof=1) / n
    errors = np.sqrt(variances.sum(axis=1))
    log_p = [spread_of(means[i, 0] - means[i, 1], errors[i], 0.05).log_p for i in range(runs)]
    fewest, most = rejection_band(runs, 0.05, 0.999)
    assert fewest <= int((np.array(log_p) < np.log(0.05)).sum()) <= most


@pytest.mark.parametrize("tau", [0.1, 0.4])
def test_shrunken_intervals_cover_and_are_nearer(tau: float) -> None:
    random = np.random.default_rng(4)
    errors = np.array([0.2, 0.1, 0.3, 0.15, 0.25, 0.1, 0.2, 0.4] * 2)
    inside, nearer, width = 0, 0.0, 0.0
    for run in range(SLOW_RUNS):
        truth = random.normal(0.5, tau, 16)
        effects = random.normal(truth, errors)
        found = shrunken(effects, errors, spread_of(effects, errors, 0.05), 0.05)
        assert found is not None
        inside += bool(found.low[run % 16] <= truth[run % 16] <= found.high[run % 16])
        nearer += float(((found.value - truth) ** 2).mean() / ((effects - truth) ** 2).mean())
        width += float((found.high - found.low).mean() / (2 * 1.96 * errors.mean()))
    fewest, most = rejection_band(SLOW_RUNS, 0.05, 0.999)
    # Morris' intervals keep at least their level; where segments hardly differ they keep more.
    assert SLOW_RUNS - inside <= most
    assert nearer / SLOW_RUNS < 0.9
    assert width / SLOW_RUNS < 0.95
    if tau > 0.3:
        assert SLOW_RUNS - inside >= fewest


def test_harm_is_seldom_called_falsely_however_often_one_looks() -> None:
    random = np.random.default_rng(5)
    looks, per_look = 30, 200
    n = per_look * np.arange(1, looks + 1)
    sums = np.cumsum(random.normal(0.0, np.sqrt(2 * per_look), (RUNS, looks)), axis=1)
    for drift in (0.0, -0.05):
        estimate = sums / n + drift
        variance = np.broadcast_to(2.0 / n, estimate.shape)
        log_e = harm_log_e(estimate, variance, np.full_like(estimate, 0.01))
        assert int((log_e >= np.log(20)).any(axis=1).sum()) <= rejection_band(RUNS, 0.05, 0.999)[1]
    assert np.mean(harm_log_e(sums / n + 0.1, 2.0 / n, np.full(looks, 0.01))[:, -1] >= np.log(20)) > 0.5
    # The twin: two-sided E taken for one side calls variants harmful that only improve.
    gain = np.full((1, 1), -0.5)
    assert float(harm_log_e(gain, np.full((1, 1), 1e-3), np.full((1, 1), 0.01))[0, 0]) < 0


def test_one_harmed_segment_is_found_and_named() -> None:
    result = dive(world({"": 0.15, "s3": -0.35}))
    (table,) = result.tables
    verdicts = {row.name: row.verdict for row in table.rows}
    assert verdicts["s3"] is SegmentVerdict.harmed
    assert list(verdicts.values()).count(SegmentVerdict.harmed) == 1
    texts = [one.text for one in result.recommendations]
    assert texts[0].startswith("Keep segment = s3 on the control: b makes y worse there, -0.")
    assert texts[1].startswith("Decide by segment: effects of b on y by segment differ, from -0.")
    row = table.rows[3]
    assert row.shrunken is not None
    assert row.effect is not None
    assert row.effect < row.shrunken < table.rows[2].shrunken  # type: ignore[operator]


def test_hazards_that_rise_are_harm() -> None:
    data = world({})
    harmed = (data["segment"] == "s1") & (data["variant"] == "b")
    data["days"] = np.random.default_rng(1).exponential(np.where(harmed, 0.5, 1.0))
    data["left"] = np.ones(N)
    result = dive(data, outcome="churn=time:days,left")
    verdicts = {row.name: row.verdict for row in result.tables[0].rows}
    assert [name for name, verdict in verdicts.items() if verdict is SegmentVerdict.harmed] == ["s1"]
    assert "a hazard ratio of" in result.recommendations[0].text


def test_segments_alike_and_segments_unknown_are_told_apart() -> None:
    sure = dive(world({"": 0.5}, n=80_000))
    assert sure.recommendations[0].text.startswith("One decision does for all segments of segment")
    unknown = dive(world({"": 0.01}, n=8_000))
    assert "is not shown" in unknown.recommendations[0].text
    assert "nor is it excluded" in unknown.recommendations[0].sureness


def test_a_segment_of_three_learners_is_shown_and_not_judged() -> None:
    data = world({"": 0.1})
    data["segment"] = data["segment"].astype(object)
    data["segment"][:3] = "three"
    result = dive(data)
    row = next(row for row in result.tables[0].rows if row.name == "three")
    assert row.verdict is SegmentVerdict.too_small
    assert row.shrunken is None
    assert "judged from 100 on" in row.why or "units: no variance" in row.why
    assert result.tables[0].spread is not None
    assert result.tables[0].spread.degrees == 7


def test_segments_that_the_change_moved_are_not_read() -> None:
    data = world({"": 0.1})
    moved = (data["variant"] == "b") & (np.arange(N) % 9 == 0)
    data["segment"] = np.where(moved, "s0", data["segment"])
    result = dive(data, "segment", "device")
    assert [one.is_moved for one in result.balances] == [True, False]
    texts = [one.text for one in result.recommendations]
    assert texts[0].startswith("Do not read effects by segment")
    assert not [text for text in texts[1:] if "by segment" in text]


def test_a_split_unlike_the_plan_leaves_nothing_to_recommend() -> None:
    result = dive(world({"": 0.3}), planned_shares={"a": 2, "b": 1})
    assert [one.text for one in result.recommendations] == ["Repair the split before anything is decided."]


def test_interactions_of_two_segmentations() -> None:
    data = world({})
    assert not [one for one in dive(data, "segment", "device").interactions if one.adjusted_log_p < np.log(0.001)]
    both = (data["segment"] == "s1") & (data["device"] == "phone") & (data["variant"] == "b")
    data["y"] = data["y"] + 0.6 * both
    result = dive(data, "segment", "device")
    (one,) = result.interactions
    assert one.degrees == 7
    assert one.adjusted_log_p < np.log(0.001)
    assert any(text.text.startswith("Look at segment and device together") for text in result.recommendations)


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_interactions_are_residuals_of_least_squares(seed: int) -> None:
    random = np.random.default_rng(seed)
    first, second = np.repeat(np.arange(3), 4), np.tile(np.arange(4), 3)
    errors = random.uniform(0.1, 1.0, 12)
    effects = random.normal(0, errors) + 0.5 * first - 0.2 * second
    q, degrees, log_p = interaction_log_p(effects, errors, first, second)
    assert degrees == 6
    assert np.exp(log_p) == pytest.approx(scipy.stats.chi2.sf(q, 6), rel=1e-9)
    # Adding what adds up changes nothing.
    again = interaction_log_p(effects + 3.0 * first + 1.7 * second, errors, first, second)
    assert again[0] == pytest.approx(q, rel=1e-6, abs=1e-9)


def test_no_segment_named() -> None:
    with pytest.raises(InputError, match="no segment is named"):
        analyze_segments(world({}), Design((parse_outcome("y=mean:y"),)))


def test_many_variants_and_segmentations_by_quantiles() -> None:
    data = world({"": 0.2})
    data["variant"] = np.where(np.arange(N) % 3 == 0, "c", data["variant"])
    result = dive(data, "before:q10", "segment", planned_shares={"a": 1, "b": 1, "c": 1})
    assert len(result.tables) == 4
    assert {len(table.rows) for table in result.tables} == {10, 8}
    assert result.tables[0].rows[0].name.startswith("below -1")
