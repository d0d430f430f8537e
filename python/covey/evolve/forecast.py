"""Which cohort next: multinomial logistic regression, against staying where one is and against the moves of everybody.

Trained on earlier moves, calibrated on later ones, judged on the last: never on a moment before one that it has seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covey.errors import InputError
from covey.evolve.snapshots import Snapshots
from covey.evolve.transitions import states_of
from covey.parameters import TRAIT_NAMES
from covey.stats.proportions import clustered_mean
from covey.stats.special import special

FEATURE_NAMES = (
    *TRAIT_NAMES,
    "momentum",
    "domain_entropy",
    "recency_days",
    "active_share",
    "log_events_per_active_day",
)
"""None grows with the time that a learner has been there: the moves to forecast are later than those learned from."""
_FEWEST_SNAPSHOTS = 5
_BINS = 10

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Score:
    """How one way to forecast did on the moves that it had not seen.

    Attributes:
        name: of the way.
        accuracy: share of learners whose next state was the likeliest.
        log_loss: mean of -ln of the probability of what happened, nats; infinite for a way that gave it 0.
        brier: mean squared distance of the probabilities from what happened, 0 to 2.
        calibration_error: mean distance between how sure the likeliest state was and how often it was right, over ten
            bins of equal numbers.
    """

    name: str
    accuracy: float
    log_loss: float
    brier: float
    calibration_error: float


@dataclass(frozen=True, eq=False, slots=True)
class Forecast:
    """A model of the next state and what it is worth.

    Attributes:
        state_names: of the states, in the order of `probabilities`.
        scores: of the model, of staying, and of everybody's moves (Markov), on the test moves.
        gain: accuracy of the model less that of staying.
        gain_low: lower limit, learners taken as clusters.
        gain_high: upper limit.
        confidence: of these limits.
        test_learner_count: learners in the test moves.
        train_move_count: moves that the model was fitted to.
        test_move_count: moves that it was judged on.
        temperature: what the logits were divided by to be calibrated; 1 leaves them as they were.
        reliability: rows (mean confidence, share right, moves) of the bins.
        weights: shape (s, features): of standardised features; the larger, the likelier the state.
        feature_names: their names.
        probabilities: shape (n, s): next states of the learners of the last snapshot; NaN for those not seen yet.
    """

    state_names: tuple[str, ...]
    scores: tuple[Score, ...]
    gain: float
    gain_low: float
    gain_high: float
    confidence: float
    test_learner_count: int
    train_move_count: int
    test_move_count: int
    temperature: float
    reliability: tuple[tuple[float, float, int], ...]
    weights: Floats
    feature_names: tuple[str, ...]
    probabilities: Floats

    @property
    def verdict(self) -> str:
        """What may be said of the model against staying."""
        if self.gain_low > 0:
            return "better than staying"
        return "worse than staying" if self.gain_high < 0 else "no better than staying, as far as these moves can tell"


@dataclass(frozen=True, eq=False, slots=True)
class _Moves:
    """Moves of some steps: features, state before, state after and learner, a row each."""

    features: Floats
    before: Ints
    after: Ints
    learner: Ints


def forecast(found: Snapshots, confidence: float = 0.95) -> Forecast:
    """Fit, calibrate and judge: the moves of the first steps, of the step after them, and of the last third.

    Raises:
        InputError: for fewer than five snapshots, fewer than two states to tell apart, or without scikit-learn.

    Source: Guo et al. (2017) for the temperature.
    """
    states = states_of(found)
    steps = len(states) - 1
    if len(states) < _FEWEST_SNAPSHOTS:
        raise InputError(
            f"{len(states)} snapshots leave nothing to judge a forecast by", expected=f"{_FEWEST_SNAPSHOTS} or more"
        )
    tested = max(1, steps // 3)
    train, tune, test = (
        _moves(found, states, own)
        for own in (range(steps - tested - 1), range(steps - tested - 1, steps - tested), range(steps - tested, steps))
    )
    size = len(found.state_names)
    if not (len(tune.after) and len(test.after)) or len(np.unique(train.after)) < 2:
        raise InputError(
            "the moves of the first snapshots lead to a single state, or later ones hold none: nothing can be learned",
            remedy="choose instants at which more learners are there",
        )
    model = _fit(train, size)
    temperature = _temperature(model.logits(tune), tune.after)
    likely = _softmax(model.logits(test) / temperature)
    staying = np.eye(size)[test.before]
    markov = _markov(train, size)[test.before]
    gain, low, high = _gain(likely, test, confidence)
    return Forecast(
        state_names=found.state_names,
        scores=(
            _score("logistic regression", likely, test.after),
            _score("stays where it is", staying, test.after),
            _score("moves of everybody", markov, test.after),
        ),
        gain=gain,
        gain_low=low,
        gain_high=high,
        confidence=confidence,
        test_learner_count=len(np.unique(test.learner)),
        train_move_count=len(train.after),
        test_move_count=len(test.after),
        temperature=temperature,
        reliability=_reliability(likely, test.after),
        weights=model.weights,
        feature_names=(*FEATURE_NAMES, *(f"now {name}" for name in found.state_names)),
        probabilities=_next(found, states, model, temperature),
    )


class _Model:
    """Logits of standardised features."""

    def __init__(self, mean: Floats, scale: Floats, weights: Floats, intercepts: Floats) -> None:
        self._mean, self._scale = mean, scale
        self.weights, self._intercepts = weights, intercepts

    def logits(self, moves: _Moves) -> Floats:
        size = len(self._intercepts)
        features = np.hstack([(moves.features - self._mean) / self._scale, np.eye(size)[moves.before]])
        logits = features @ self.weights.T + self._intercepts
        return np.asarray(logits, dtype=np.float64)


def _fit(train: _Moves, size: int) -> _Model:
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        raise InputError("a forecast needs scikit-learn", remedy="pip install 'covey[learn]'") from None
    mean, scale = train.features.mean(axis=0), train.features.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    features = np.hstack([(train.features - mean) / scale, np.eye(size)[train.before]])
    fitted: Any = LogisticRegression(C=1.0, max_iter=2_000).fit(features, train.after)
    weights, intercepts = fitted.coef_, fitted.intercept_
    if len(fitted.classes_) == 2:  # one row of weights stands for both
        weights, intercepts = np.vstack([0 * weights, weights]), np.concatenate([0 * intercepts, intercepts])
    # A state that no training move led to gets what the rarest of the others would need a thousand times less of.
    all_weights = np.zeros((size, features.shape[1]))
    all_intercepts = np.full(size, intercepts.min() - np.log(1_000.0))
    all_weights[fitted.classes_], all_intercepts[fitted.classes_] = weights, intercepts
    return _Model(mean, scale, all_weights, all_intercepts)


def _moves(found: Snapshots, states: Ints, steps: range) -> _Moves:
    parts = []
    for step in steps:
        item = found.items[step]
        used = (states[step, item.places] >= 0) & (states[step + 1, item.places] >= 0)
        places = item.places[used]
        parts.append((_features(item.traits, used), states[step, places], states[step + 1, places], places))
    if not parts:
        raise InputError("there are too few snapshots to learn from", remedy="look at more instants")
    return _Moves(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _features(traits: Any, used: NDArray[np.bool_]) -> Floats:
    columns = [traits[name][used].astype(np.float64) for name in (*TRAIT_NAMES, "momentum", "domain_entropy")]
    active_days = traits["active_days"][used].astype(np.float64)
    columns.append(traits["recency_days"][used])
    columns.append(active_days / (np.floor(traits["tenure_days"][used]) + 2.0))
    columns.append(np.log1p(traits["event_count"][used] / np.maximum(active_days, 1.0)))
    return np.column_stack(columns)


def _next(found: Snapshots, states: Ints, model: _Model, temperature: float) -> Floats:
    item = found.items[-1]
    result = np.full((states.shape[1], len(found.state_names)), np.nan)
    used = states[-1, item.places] >= 0
    places = item.places[used]
    moves = _Moves(_features(item.traits, used), states[-1, places], states[-1, places], places)
    result[places] = _softmax(model.logits(moves) / temperature)
    return result


def _softmax(logits: Floats) -> Floats:
    return np.asarray(special().softmax(logits, axis=1), dtype=np.float64)


def _temperature(logits: Floats, after: Ints) -> float:
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        return float((special().logsumexp(scaled, axis=1) - scaled[np.arange(len(after)), after]).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-2.0, 2.0), method="bounded").x))


def _markov(train: _Moves, size: int) -> Floats:
    counts = np.bincount(train.before * size + train.after, minlength=size * size).reshape(size, size) + 1.0
    return np.asarray(counts / counts.sum(axis=1, keepdims=True), dtype=np.float64)


def _score(name: str, likely: Floats, after: Ints) -> Score:
    happened = likely[np.arange(len(after)), after]
    with np.errstate(divide="ignore"):
        log_loss = float(-np.log(happened).mean())
    truth = np.eye(likely.shape[1])[after]
    return Score(
        name,
        float((likely.argmax(axis=1) == after).mean()),
        log_loss,
        float(((likely - truth) ** 2).sum(axis=1).mean()),
        sum(count * abs(sure - right) for sure, right, count in _reliability(likely, after)) / len(after),
    )


def _reliability(likely: Floats, after: Ints) -> tuple[tuple[float, float, int], ...]:
    sure, right = likely.max(axis=1), likely.argmax(axis=1) == after
    order = np.argsort(sure, kind="stable")
    return tuple(
        (float(sure[own].mean()), float(right[own].mean()), len(own))
        for own in np.array_split(order, _BINS)
        if len(own)
    )


def _gain(likely: Floats, test: _Moves, confidence: float) -> tuple[float, float, float]:
    """Accuracy less that of staying, learners taken as clusters."""
    better = (likely.argmax(axis=1) == test.after).astype(float) - (test.before == test.after)
    _, learner = np.unique(test.learner, return_inverse=True)
    return clustered_mean(np.bincount(learner, weights=better), np.bincount(learner), confidence)
