"""Fit, calibrate on learners that each fold has not seen, judge on later instants and on other courses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covey.churn.features import FEATURE_NAMES, GROUPS, Floats
from covey.churn.metrics import Quality, quality
from covey.churn.model import ChurnModel, probabilities_of
from covey.churn.panel import Panel
from covey.churn.predictors import Line, Predictor, trees_of
from covey.errors import InputError
from covey.instants import instant_to_datetime

FOLDS = 5
_FLAGGED_SHARE = 0.1
_FEWEST_LEFT = 20
_TINY = 1e-12
_BOOSTING: Mapping[str, Any] = {
    "max_iter": 300,
    "learning_rate": 0.04,
    "max_leaf_nodes": 6,
    "min_samples_leaf": 100,
    "l2_regularization": 10.0,
    "max_features": 0.3,
    "early_stopping": False,
    "random_state": 0,
}
"""Small trees, much shrunk: a panel of weeks repeats its learners, and a deep tree would learn them by heart."""


class Kind(StrEnum):
    """Of model."""

    logistic = "logistic"
    """A line through log(1 + x): the baseline."""
    boosting = "boosting"
    """Histogram gradient boosting."""


@dataclass(frozen=True, eq=False, slots=True)
class Trained:
    """A model and how it did where it had not looked.

    Attributes:
        model: trained on all rows.
        by_learners: each fifth of the learners told by a model of the others; what the calibration was fitted on.
        by_time: the last instants told by a model of those before, none of whose outcomes reach into them; None where
            there are too few instants.
        by_time_problem: why there is none.
        by_courses: (name, quality) of courses that the model has not seen.
    """

    model: ChurnModel
    by_learners: Quality
    by_time: Quality | None
    by_time_problem: str
    by_courses: tuple[tuple[str, Quality], ...]


def train(
    panel: Panel,
    kind: Kind = Kind.boosting,
    *,
    name: str = "churn",
    version: int = 1,
    features: Sequence[str] = FEATURE_NAMES,
    courses: Mapping[str, Panel] | None = None,
) -> Trained:
    """A calibrated model with its validation.

    Args:
        panel: rows with a known outcome.
        kind: of model.
        name: of the model.
        version: of the model, from 1 on.
        features: which to use.
        courses: other panels by name, to be judged on.

    Raises:
        InputError: one kind of outcome only, fewer than 20 rows that left, a bad name, or without scikit-learn.
    """
    kind = Kind(kind)
    if not name or any(mark in name for mark in "@:/ ") or version < 1:
        raise InputError(
            f"model '{name}', version {version}", expected="a name without @ : / or spaces, a version >= 1"
        )
    panel.check_both_classes("the data to learn from")
    left = int(panel.churned.sum())
    rest = len(panel) - left
    if min(left, rest) < _FEWEST_LEFT:
        raise InputError(
            f"{left:,} rows of {len(panel):,} left: too few of one kind to learn from",
            expected=f"{_FEWEST_LEFT} or more of each",
        )
    base = _blank(panel, kind, features, name, version)
    model, unseen = _calibrated(base, panel)
    by_learners = quality(panel, unseen, model.threshold)
    by_time, problem = _by_time(base, panel)
    by_courses = tuple(
        (course, quality(other, model.probabilities(other.features), model.threshold))
        for course, other in (courses or {}).items()
    )
    facts = {
        "rows": len(panel),
        "learner_count": by_learners.learner_count,
        "base_rate": by_learners.base_rate,
        "instant_count": len(panel.instants),
        "first_as_of": _date(panel.instants[0]),
        "last_as_of": _date(panel.instants[-1]),
        "fingerprint": panel.fingerprint,
        "validation": {
            "learners": _facts(by_learners),
            **({} if by_time is None else {"time": _facts(by_time)}),
            **{f"course {course}": _facts(found) for course, found in by_courses},
        },
    }
    model = replace(model, facts=facts).sealed()
    return Trained(model, by_learners, by_time, problem, by_courses)


def ablation(panel: Panel, test: Panel, kind: Kind = Kind.boosting) -> tuple[tuple[str, Quality], ...]:
    """What each added group of features buys on another panel: from the ten counts alone to all.

    Raises:
        InputError: as `train`.
    """
    found: list[tuple[str, Quality]] = []
    features: tuple[str, ...] = ()
    for group, names in GROUPS.items():
        features = (*features, *names)
        model, _ = _calibrated(_blank(panel, kind, features), panel)
        found.append((group, quality(test, model.probabilities(test.features), model.threshold)))
    return tuple(found)


def _blank(panel: Panel, kind: Kind, features: Sequence[str], name: str = "churn", version: int = 1) -> ChurnModel:
    columns = [FEATURE_NAMES.index(feature) for feature in features]
    nothing = Line(np.zeros(0), np.ones(0), np.zeros(0), 0.0)
    typical = np.median(panel.features[:, columns], axis=0)
    return ChurnModel(
        name, version, kind.value, tuple(features), panel.definition, panel.parameters, nothing, 1.0, 0.0, 0.5, typical
    )


def _calibrated(base: ChurnModel, panel: Panel) -> tuple[ChurnModel, Floats]:
    """The model, and the calibrated probabilities of all rows by models that had not seen the learner."""
    features, left = panel.features[:, base.columns], panel.churned
    fold = _folds(panel)
    unseen = np.zeros(len(panel))
    for own in np.unique(fold):
        others = fold != own
        if others.all() or len(np.unique(left[others])) < 2:
            raise InputError(
                "too few learners to calibrate on others than those learned from",
                expected="some who left in each fifth",
            )
        unseen[~others] = _fit(base.kind, features[others], left[others]).logits(features[~others])
    slope, intercept = _line_through(unseen, left)
    probability = probabilities_of(slope * unseen + intercept)
    threshold = float(np.quantile(probability, 1.0 - _FLAGGED_SHARE))
    predictor = _fit(base.kind, features, left)
    return replace(base, predictor=predictor, slope=slope, intercept=intercept, threshold=threshold), probability


def _by_time(base: ChurnModel, panel: Panel) -> tuple[Quality | None, str]:
    instants = panel.instants
    begin = instants[-max(1, len(instants) // 3)]
    # An outcome that reaches into the instants to be judged by would tell of them.
    early = panel.rows(panel.as_of_us + panel.definition.horizon_us <= begin)
    late = panel.rows(panel.as_of_us >= begin)
    if not len(early):
        return None, (
            f"no outcome of the first instants is complete before the last third begins ({_date(begin)}): "
            "more instants are needed"
        )
    try:
        early.check_both_classes("the first instants")
        late.check_both_classes("the last instants")
        model, _ = _calibrated(base, early)
    except InputError as error:
        return None, error.problem
    return quality(late, model.probabilities(late.features), model.threshold), ""


def _folds(panel: Panel) -> NDArray[np.int64]:
    """By a hash of the learner: the same whatever the order or number of rows."""
    return (panel.learner_ids.hashes()[panel.learner] % np.uint64(FOLDS)).astype(np.int64)


def _fit(kind: str, features: Floats, left: NDArray[np.bool_]) -> Predictor:
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier
        from sklearn.linear_model import LogisticRegression
        from threadpoolctl import threadpool_limits  # scikit-learn's own
    except ImportError:
        raise InputError("training needs scikit-learn", remedy="pip install 'covey[learn]'") from None
    # One thread: on a busy machine the threads of a small fit wait for each other longer than they compute.
    with threadpool_limits(1):
        if kind == Kind.boosting:
            fitted = HistGradientBoostingClassifier(**_BOOSTING).fit(features, left)
            return trees_of(fitted, features)
        return _line(LogisticRegression(C=1.0, max_iter=5_000), features, left)


def _line(regression: Any, features: Floats, left: NDArray[np.bool_]) -> Line:
    logs = np.log1p(features)
    mean, scale = logs.mean(axis=0), logs.std(axis=0)
    scale = np.where(scale > _TINY, scale, 1.0)
    line = regression.fit((logs - mean) / scale, left)
    return Line(mean, scale, line.coef_[0].astype(np.float64), float(line.intercept_[0]))


def _line_through(logits: Floats, left: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and intercept of the calibration (Platt 1999), by Newton's method from 1 and 0."""
    design = np.column_stack([logits, np.ones(len(logits))])
    # Pseudo-outcomes a little inside of 0 and 1 keep the line finite where outcomes are told apart without error.
    yes, no = left.sum(), (~left).sum()
    target = np.where(left, (yes + 1.0) / (yes + 2.0), 1.0 / (no + 2.0))
    line = np.array([1.0, 0.0])
    for _ in range(100):
        probability = probabilities_of(design @ line)
        curvature = design.T @ (design * (probability * (1.0 - probability))[:, None]) + _TINY * np.eye(2)
        step = np.linalg.solve(curvature, design.T @ (target - probability))
        line = line + step
        if np.abs(step).max() < 1e-10:
            break
    return float(line[0]), float(line[1])


def _facts(found: Quality) -> dict[str, Any]:
    plain = asdict(found)
    plain["bins"] = [list(row) for row in found.bins]
    return {name: _or_none(value) for name, value in plain.items()}


def _or_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _or_none(own) for name, own in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _date(instant_us: int) -> str:
    return instant_to_datetime(instant_us).strftime("%Y-%m-%d")
