"""Models without pickle against scikit-learn, metrics against its own, calibration, files that are refused, reasons."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from covey.churn import Definition, Kind, Panel, load_model, panel, save_model, score, train
from covey.churn import training as training_module
from covey.churn.features import FEATURE_NAMES
from covey.churn.metrics import auc, auc_limits, average_precision, calibration_bins, lead_time, top_lift
from covey.churn.predictors import trees_of
from covey.churn.training import Trained
from covey.errors import InputError
from covey.identifiers import bucket

from .courses import DAY_US, START_US, course

RUNS = int(os.environ.get("COVEY_EXPERIMENT_RUNS", "1000"))


@pytest.fixture(scope="module")
def learned() -> Panel:
    return panel(course(300, 110, seed=1))


@pytest.fixture(scope="module", params=list(Kind))
def trained(request: pytest.FixtureRequest, learned: Panel) -> Trained:
    return train(learned, request.param, courses={"next year": panel(course(200, 110, seed=2))})


def test_our_own_trees_answer_as_those_of_scikit_learn(learned: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = HistGradientBoostingClassifier(**training_module._BOOSTING).fit(learned.features, learned.churned)
    trees = trees_of(fitted, learned.features)
    random = np.random.default_rng(0)
    other = random.permuted(learned.features, axis=0) * random.uniform(0, 3, learned.features.shape)
    for rows in (learned.features, other):
        assert np.abs(trees.logits(rows) - fitted.decision_function(rows)).max() < 1e-9
    # Trees that answer otherwise than the classifier are refused, by however little.
    answer = fitted.decision_function
    monkeypatch.setattr(fitted, "decision_function", lambda rows: answer(rows) + 1e-6)
    with pytest.raises(RuntimeError, match="answer otherwise than it does, by 1e-06"):
        trees_of(fitted, learned.features)


def test_the_line_is_that_of_scikit_learn(learned: Panel) -> None:
    model = train(learned, Kind.logistic).model
    logs = np.log1p(learned.features)
    scaled = (logs - logs.mean(axis=0)) / np.where(logs.std(axis=0) > 1e-12, logs.std(axis=0), 1)
    fitted = LogisticRegression(max_iter=5_000).fit(scaled, learned.churned)
    expected = fitted.decision_function(scaled)
    assert np.abs(model.predictor.logits(learned.features) - expected).max() < 1e-9


def test_metrics_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(3)
    for _ in range(20):
        count = int(random.integers(5, 400))
        left = random.random(count) < random.uniform(0.1, 0.9)
        left[:2] = [True, False]
        score_of = random.integers(0, 12, count) / 12 + 0.1 * left
        assert auc(left, score_of) == pytest.approx(roc_auc_score(left, score_of))
        assert average_precision(left, score_of) == pytest.approx(average_precision_score(left, score_of))
    left = np.repeat([True, False], [10, 90])
    assert top_lift(left, left.astype(float)) == pytest.approx(10)
    assert top_lift(left, np.zeros(100)) == pytest.approx(1)
    assert sum(rows for _, _, rows in calibration_bins(left, np.linspace(0, 1, 100))) == 100


def weeks_of(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eight weeks each of learners who differ: whose, whether they left, and a score that knows something of both."""
    inclination = random.normal(0, 1, count)
    learner = np.repeat(np.arange(count), 8)
    logit = -1.8 + 0.9 * inclination[learner] + 0.5 * random.normal(0, 1, len(learner))
    left = random.random(len(learner)) < 1 / (1 + np.exp(-logit))
    return left, 0.7 * inclination[learner] + 0.8 * random.normal(0, 1, len(learner)), learner


def test_limits_of_the_area_cover_as_often_as_they_say() -> None:
    """In the 99.9 % band; limits made as if a learner's weeks were independent would not."""
    random = np.random.default_rng(5)
    truth = np.mean([auc(*weeks_of(random, 200_000)[:2]) for _ in range(8)])
    together = alone = 0
    for _ in range(RUNS):
        left, score_of, learner = weeks_of(random, 200)
        low, high = auc_limits(left, score_of, learner)
        together += low <= truth <= high
        low, high = auc_limits(left, score_of, np.arange(len(left)))
        alone += low <= truth <= high
    print(f"limits of the area under the ROC curve: {RUNS - together} of {RUNS} miss")
    assert binom.ppf(0.0005, RUNS, 0.95) <= together <= binom.ppf(0.9995, RUNS, 0.95), together
    assert alone < binom.ppf(0.0005, RUNS, 0.95), alone


def test_limits_of_the_area_are_those_of_learners_drawn_anew() -> None:
    """By the other route: the bootstrap over learners."""
    random = np.random.default_rng(6)
    left, score_of, learner = weeks_of(random, 400)
    rows = np.arange(len(left)).reshape(400, 8)
    drawn = [rows[random.integers(0, 400, 400)].ravel() for _ in range(2_000)]
    found = np.quantile([auc(left[own], score_of[own]) for own in drawn], [0.025, 0.975])
    np.testing.assert_allclose(auc_limits(left, score_of, learner), found, atol=0.004)
    assert auc_limits(left, left.astype(float), learner) == (1.0, 1.0)
    assert auc_limits(left, score_of, np.zeros(len(left), dtype=np.int64)) == (0.0, 1.0)


def test_validation_says_what_other_learners_and_later_weeks_say(trained: Trained) -> None:
    assert trained.by_time is not None
    for found, most in ((trained.by_learners, 0.06), (trained.by_time, 0.15), (trained.by_courses[0][1], 0.06)):
        assert 0.6 < found.auc_low < found.auc < found.auc_high < 1
        assert found.top_decile_lift > 1.5
        assert found.calibration_error < most
    assert trained.by_learners.mean_probability == pytest.approx(trained.by_learners.base_rate, rel=0.02)
    assert trained.by_time.rows < trained.by_learners.rows


def test_calibration_mends_what_is_too_sure(learned: Panel) -> None:
    logits = np.random.default_rng(0).normal(0, 2, 20_000)
    left = np.random.default_rng(1).random(20_000) < 1 / (1 + np.exp(-(0.5 * logits - 1)))
    slope, intercept = training_module._line_through(logits, left)
    assert (slope, intercept) == (pytest.approx(0.5, abs=0.03), pytest.approx(-1, abs=0.06))


def test_a_model_survives_its_file(trained: Trained, learned: Panel, tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    save_model(trained.model, path)
    again = load_model(path)
    assert again.digest == trained.model.digest and again.variant == trained.model.variant
    assert np.array_equal(again.probabilities(learned.features), trained.model.probabilities(learned.features))
    assert again.facts["rows"] == len(learned)


def test_training_twice_gives_the_same_digest(trained: Trained, learned: Panel) -> None:
    kind = Kind(trained.model.kind)
    assert train(learned, kind, courses={"next year": panel(course(200, 110, seed=2))}).model.digest == (
        trained.model.digest
    )


def _changed(text: str, **fields: Any) -> bytes:
    from covey.churn.model import _digest

    plain = json.loads(text) | fields
    plain.pop("digest")
    return json.dumps({**plain, "digest": _digest(plain)}).encode()


def test_files_that_are_refused(trained: Trained, tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    save_model(trained.model, path)
    text = path.read_text()
    plain = json.loads(text)
    cases = [
        (text.replace('"slope":', '"slope":1').encode(), "its digest is not that of its content"),
        (_changed(text, trait_version=7), "trained on version 7 of the traits, and these are version 1"),
        (_changed(text, feature_names=["height"]), "reads 'height'"),
        (_changed(text, kind="oracle"), "is of kind 'oracle'"),
        (_changed(text, predictor={}), "of the model"),
        (_changed(text, trait_parameters={"velocity_kappa": -1}), "velocity_kappa"),
        (b"\x80\x04pickle", "no model of churn"),
        (b"{}", "no model of churn"),
        (b"[" * 100_000, "no model of churn"),
        (_changed(text, version=float("inf")), "no model of churn"),
    ]
    if "left" in plain["predictor"]:
        endless = plain["predictor"] | {"left": [0] * len(plain["predictor"]["left"])}
        cases.append((_changed(text, predictor=endless), "point outside of themselves"))
        cases.append((_changed(text, predictor=[1]), "no model of churn"))
    for data, words in cases:
        with pytest.raises(InputError) as refused:
            load_model(data)
        assert words in str(refused.value)


def test_scores_have_reasons_and_come_from_before(trained: Trained) -> None:
    events = course(200, 110, seed=5)
    as_of = START_US + 80 * DAY_US
    found = score(trained.model, events, as_of)
    silent = found.features[:, FEATURE_NAMES.index("silent_days")]
    assert (silent <= 28).all() and found.ignored_event_count == int((events.time_us >= as_of).sum())
    last = np.argsort(-found.probability)
    reasons = found.reasons(last[:20])
    assert all(own for own in reasons) and all(len(own) <= 3 for own in reasons)
    assert all(first.effect >= second.effect for own in reasons for first, second in pairwise(own))
    assert {one.code for own in reasons for one in own} & {"silence", "counts"}
    table: Any = found.to_arrow()
    assert table.column_names == ["learner_id", "as_of", "probability", "flagged", "variant", "reasons", "reason"]
    assert set(table["variant"].to_pylist()) == {trained.model.variant}


def test_a_candidate_answers_for_its_buckets_and_keeps_them(learned: Panel) -> None:
    events = course(200, 110, seed=5)
    stable, candidate = train(learned, Kind.logistic).model, train(learned, version=2).model
    alone = score(stable, events)
    shares = []
    for weight_bp in (0, 1_000, 5_000, 10_000):
        found = score(stable, events, candidate=candidate, weight_bp=weight_bp, salt="uid")
        own = found.variant == 1
        assert own.tolist() == [bucket("uid", name) < weight_bp * 2**32 // 10_000 for name in found.learner_ids.texts()]
        assert np.array_equal(found.probability[~own], alone.probability[~own])
        shares.append(set(np.flatnonzero(own)))
    assert shares[0] == set() and shares[1] < shares[2] < shares[3] and len(shares[3]) == len(found)


@pytest.mark.parametrize(
    ("days", "definition", "words"),
    [
        (80, Definition(28, 1), "nobody left"),
        (60, Definition(1), "few"),
    ],
)
def test_one_kind_of_outcome_only(days: int, definition: Definition, words: str) -> None:
    busy = course(30, days, leaving=1e-9)
    if words == "nobody left":
        with pytest.raises(InputError, match=r"nobody left: in all .* there is nothing to tell apart"):
            train(panel(busy, definition))
        return
    some = panel(busy, definition)
    few = some.rows(np.cumsum(some.churned) <= 3)
    with pytest.raises(InputError, match="too few of one kind"):
        train(few)


def test_everybody_left() -> None:
    events = course(60, 100, leaving=0.1)
    until = events.newest_us + 60 * DAY_US
    with pytest.raises(InputError, match="everybody left"):
        train(panel(events, as_of=[events.newest_us + 1], observed_until=until))


def test_what_cannot_be_scored(trained: Trained, learned: Panel) -> None:
    events = course(50, 60)
    with pytest.raises(InputError, match="is before every event"):
        score(trained.model, events, START_US - DAY_US)
    with pytest.raises(InputError, match="they have left"):
        score(trained.model, events, events.newest_us + 40 * DAY_US)
    other = train(panel(course(300, 110, seed=1), Definition(14)), Kind.logistic).model
    with pytest.raises(InputError, match="another definition"):
        score(trained.model, events, candidate=other, weight_bp=100)
    with pytest.raises(InputError, match="a share for a candidate, and no salt"):
        score(trained.model, events, candidate=trained.model, weight_bp=100)
    assert len(score(trained.model, events, candidate=trained.model)) > 0
    with pytest.raises(InputError, match="a name without"):
        train(learned, name="a@b")


def test_lead_time_by_hand(learned: Panel) -> None:
    """Learner 0 is flagged ten days before the last event, 1 after it, 2 never, 3 stays and is flagged."""
    day = START_US + np.array([20, 40, 20, 40, 20, 20]) * DAY_US
    small = replace(
        learned,
        learner=np.array([0, 0, 1, 1, 2, 3]),
        as_of_us=day,
        features=learned.features[:6],
        churned=np.array([False, True, True, True, True, False]),
        last_us=np.concatenate([START_US + np.array([30, 15, 12, 100]) * DAY_US, learned.last_us[4:]]),
        observed_until_us=START_US + 101 * DAY_US,
    )
    found = lead_time(small, np.array([True, True, True, False, False, True]))
    assert (found.left_count, found.early_share, found.late_share) == (3, pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert found.median_days == pytest.approx((10 - 5) / 2) and found.early_median_days == 10
    assert found.false_share == 1.0
