"""What turns features into a logit: a line or trees, as plain numbers that JSON can hold. No scikit-learn here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covey.churn.features import Floats
from covey.errors import InputError

_MOST_NODES = 1 << 20


@dataclass(frozen=True, eq=False, slots=True)
class Line:
    """Logistic regression on standardised log(1 + x).

    Attributes:
        mean: of log(1 + x) in training, shape (features,).
        scale: its standard deviation, > 0.
        weights: of the standardised columns.
        intercept: logit where every column is at its mean.
    """

    mean: Floats
    scale: Floats
    weights: Floats
    intercept: float

    def logits(self, features: Floats) -> Floats:
        """Shape (rows,); features are 0 or more."""
        columns = np.ascontiguousarray((np.log1p(features) - self.mean) / self.scale)
        # Row by row: a matrix product adds in an order that depends on how many rows there are.
        return np.asarray((columns * self.weights).sum(axis=1) + self.intercept, dtype=np.float64)

    def to_plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "weights": self.weights.tolist(),
            "intercept": self.intercept,
        }

    @classmethod
    def of_plain(cls, plain: dict[str, Any], feature_count: int) -> Line:
        """From `to_plain`.

        Raises:
            InputError: numbers are missing, too many, or not finite.
        """
        mean, scale, weights = (_numbers(plain, name, feature_count) for name in ("mean", "scale", "weights"))
        if not (scale > 0).all():
            raise InputError("a scale of the model is not above 0")
        return cls(mean, scale, weights, float(_numbers({"intercept": [plain.get("intercept")]}, "intercept", 1)[0]))


@dataclass(frozen=True, eq=False, slots=True)
class Trees:
    """Boosted trees: from the root, left where a feature is at or below the threshold, and the leaves' values add up.

    Attributes:
        start: logit before the first tree.
        roots: int64, shape (trees,): node of each root.
        feature: int64, shape (nodes,): column that is asked, -1 in leaves.
        threshold: float64.
        left: int64: always later nodes, so no walk is endless.
        right: int64.
        value: float64: of leaves.
    """

    start: float
    roots: NDArray[np.int64]
    feature: NDArray[np.int64]
    threshold: Floats
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    value: Floats

    def logits(self, features: Floats) -> Floats:
        """Shape (rows,)."""
        found = np.full(len(features), self.start)
        every = np.arange(len(features))
        for root in self.roots.tolist():
            node = np.full(len(features), root)
            walking = every
            while len(walking):
                at = node[walking]
                inner = self.feature[at] >= 0
                walking, at = walking[inner], at[inner]
                is_left = features[walking, self.feature[at]] <= self.threshold[at]
                node[walking] = np.where(is_left, self.left[at], self.right[at])
            found += self.value[node]
        return found

    def to_plain(self) -> dict[str, Any]:
        """For JSON."""
        columns = {name: getattr(self, name).tolist() for name in _TREE_COLUMNS}
        return {"start": self.start, "roots": self.roots.tolist(), **columns}

    @classmethod
    def of_plain(cls, plain: dict[str, Any], feature_count: int) -> Trees:
        """From `to_plain`.

        Raises:
            InputError: the numbers are no trees.
        """
        count = len(plain.get("feature", ()))
        columns = {name: _numbers(plain, name, count) for name in _TREE_COLUMNS}
        whole = {name: columns[name].astype(np.int64) for name in ("feature", "left", "right")}
        roots = _numbers(plain, "roots", len(plain.get("roots", ()))).astype(np.int64)
        inner = whole["feature"] >= 0
        place = np.arange(count)
        is_sound = 0 < count <= _MOST_NODES and (whole["feature"] < feature_count).all()
        for name in ("left", "right"):
            is_sound = is_sound and ((whole[name] > place) & (whole[name] < count))[inner].all()
        if not (is_sound and ((roots >= 0) & (roots < count)).all()):
            raise InputError("the trees of the model point outside of themselves")
        start = float(_numbers({"start": [plain.get("start")]}, "start", 1)[0])
        return cls(
            start, roots, whole["feature"], columns["threshold"], whole["left"], whole["right"], columns["value"]
        )


Predictor = Line | Trees
_TREE_COLUMNS = ("feature", "threshold", "left", "right", "value")


def trees_of(fitted: Any, features: Floats) -> Trees:
    """The trees of a fitted HistGradientBoostingClassifier of two classes, checked against its own answer.

    scikit-learn offers no public way to its trees; whatever a version of it may change there, trees that do not answer
    as the model does are refused.

    Args:
        fitted: the classifier.
        features: rows to check on, without NaN.

    Raises:
        RuntimeError: the answers differ by more than 1e-9.
    """
    parts: list[dict[str, Any]] = []
    roots, at = [], 0
    for (predictor,) in fitted._predictors:
        nodes = predictor.nodes
        leaf = nodes["is_leaf"].astype(bool)
        parts.append({
            "feature": np.where(leaf, -1, nodes["feature_idx"].astype(np.int64)),
            "threshold": np.where(leaf, 0.0, nodes["num_threshold"]),
            "left": np.where(leaf, 0, nodes["left"].astype(np.int64) + at),
            "right": np.where(leaf, 0, nodes["right"].astype(np.int64) + at),
            "value": np.where(leaf, nodes["value"], 0.0),
        })  # fmt: skip
        roots.append(at)
        at += len(nodes)
    columns = {name: np.concatenate([part[name] for part in parts]) for name in _TREE_COLUMNS}
    # A threshold may be infinite where only missing values go right: none are missing here.
    columns["threshold"] = np.clip(columns["threshold"], -np.finfo(float).max, np.finfo(float).max)
    trees = Trees(float(np.ravel(fitted._baseline_prediction)[0]), np.array(roots, dtype=np.int64), **columns)
    gap = float(np.abs(trees.logits(features) - fitted.decision_function(features)).max())
    if not gap <= 1e-9:
        raise RuntimeError(f"trees that were read from scikit-learn answer otherwise than it does, by {gap:g}")
    return trees


def _numbers(plain: dict[str, Any], name: str, count: int) -> Floats:
    try:
        values = np.array(plain[name], dtype=np.float64)
    except (KeyError, TypeError, ValueError):
        raise InputError(f"'{name}' of the model is no list of numbers") from None
    if values.shape != (count,) or not np.isfinite(values).all():
        raise InputError(f"'{name}' of the model holds {values.size} numbers", expected=f"{count}, all finite")
    return values
