"""The traits of DESIGN section 5 in NumPy: one sort per question, then sums over groups.

A learner's traits are a function of the multiset of their events, so no result may depend on the order of the rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from covey.parameters import TraitParameters

Array = NDArray[Any]
Floats = NDArray[np.float64]

DAY_US = 86_400_000_000
FEEDBACK = 4


def compute_traits(
    learner_index: Array,
    learner_count: int,
    time: NDArray[np.int64],
    domain_index: Array,
    domain_count: int,
    capability_index: Array,
    capability_count: int,
    kind: Array | None,
    action_taken: Array | None,
    weight: Array | None,
    as_of_us: int,
    parameters: TraitParameters,
) -> dict[str, Any]:
    """Traits of every learner at `as_of_us`; arguments and answer as `covey._core.compute_traits`, of wide columns.

    Args:
        learner_index: position of each event's learner, shape (n,), in [0, learner_count).
        learner_count: number of learners.
        time: microseconds since the epoch, shape (n,).
        domain_index: shape (n,), in [0, domain_count); a null domain is a value of its own.
        domain_count: number of domains.
        capability_index: shape (n,), in [0, capability_count).
        capability_count: number of capabilities.
        kind: numbers of `EventKind`, shape (n,), or None for all other.
        action_taken: 0 or 1, shape (n,), or None for all 0.
        weight: finite and >= 0, shape (n,), or None for all 1.
        as_of_us: the instant that ages refer to; later events are ignored and counted.
        parameters: the constants of the definitions.

    Returns:
        Arrays of shape (learner_count,) by name, and the int "ignored_event_count".
    """
    keep = time <= as_of_us
    ignored_event_count = int(len(keep) - np.count_nonzero(keep))
    learner = learner_index[keep].astype(np.int64)
    time = time[keep]
    domain, capability = domain_index[keep], capability_index[keep]
    weights = np.ones(len(time)) if weight is None else weight[keep].astype(np.float64)
    day_age = _day(as_of_us, parameters) - _day(time, parameters)

    by_learner_day = np.unique(np.stack([learner, day_age]), axis=1) if len(time) else np.zeros((2, 0), np.int64)
    recent_days = by_learner_day[0][by_learner_day[1] < parameters.frequency_window_days]
    oldest = np.full(learner_count, as_of_us)
    np.minimum.at(oldest, learner, time)
    newest = np.full(learner_count, np.iinfo(np.int64).min)
    np.maximum.at(newest, learner, time)
    newest = np.where(newest == np.iinfo(np.int64).min, as_of_us, newest)

    first_use = _first_use_rows(learner, capability, time)
    repeat = _is_repeat(learner, capability, time, capability_count)
    affinity, entropy = _affinity(learner, learner_count, domain, domain_count, weights, parameters)
    result = {
        "learning_velocity": _velocity(learner[first_use], day_age[first_use], learner_count, parameters),
        "domain_affinity": affinity,
        "interaction_frequency": np.bincount(recent_days, minlength=learner_count) / parameters.frequency_window_days,
        "feedback_responsiveness": _feedback(learner, learner_count, kind, action_taken, keep, parameters),
        "retention_strength": _retention(learner, learner_count, time, weights, repeat, parameters),
        "domain_entropy": entropy,
        "momentum": _momentum(learner, learner_count, day_age, weights),
    }
    return {name: values.astype(np.float32) for name, values in result.items()} | {
        "event_count": np.bincount(learner, minlength=learner_count).astype(np.int64),
        "active_days": np.bincount(by_learner_day[0], minlength=learner_count).astype(np.int32),
        "tenure_days": (as_of_us - oldest) / DAY_US,
        "recency_days": (as_of_us - newest) / DAY_US,
        "ignored_event_count": ignored_event_count,
    }


def _day(time_us: Any, parameters: TraitParameters) -> Any:
    return (time_us - int(parameters.day_start_seconds) * 1_000_000) // DAY_US


def _first_use_rows(learner: Array, capability: Array, time: Array) -> Array:
    """One row of the first use of each (learner, capability)."""
    order = np.lexsort((time, capability, learner))
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = (np.diff(learner[order]) != 0) | (capability[order][1:] != capability[order][:-1])
    rows: Array = order[begins]
    return rows


def _is_repeat(learner: Array, capability: Array, time: Array, capability_count: int) -> NDArray[np.bool_]:
    """Whether a use is strictly later than the learner's first use of that capability."""
    pair, group = np.unique(learner * capability_count + capability, return_inverse=True)
    first_time = np.full(len(pair), np.iinfo(np.int64).max)
    np.minimum.at(first_time, group, time)
    repeat: NDArray[np.bool_] = time > first_time[group]
    return repeat


def _velocity(learner: Array, day_age: Array, learner_count: int, parameters: TraitParameters) -> Floats:
    """The moving average in closed form: e = n_K (1-α)^K + Σ_{k<K} α n_k (1-α)^k, silent weeks included."""
    week = day_age // 7
    first_week = np.zeros(learner_count, dtype=np.int64)
    np.maximum.at(first_week, learner, week)
    share = np.where(week == first_week[learner], 1.0, parameters.velocity_alpha)
    term = share * (1.0 - parameters.velocity_alpha) ** week.astype(np.float64)
    average = np.bincount(learner, weights=term, minlength=learner_count)
    return average / (average + parameters.velocity_kappa)


def _affinity(
    learner: Array, learner_count: int, domain: Array, domain_count: int, weights: Floats, parameters: TraitParameters
) -> tuple[Floats, Floats]:
    """Domain affinity, and the entropy of the domain shares in bits."""
    weighty = weights > 0
    pair, group = np.unique(learner[weighty] * domain_count + domain[weighty], return_inverse=True)
    owner = pair // domain_count
    scaled = _scaled_by_learner(learner, learner_count, weights)[weighty]
    by_domain = np.bincount(group, weights=scaled, minlength=len(pair))
    total = np.bincount(owner, weights=by_domain, minlength=learner_count)
    share = by_domain / total[owner]
    top_share = np.zeros(learner_count)
    np.maximum.at(top_share, owner, share)
    information = -share * np.log2(np.where(share > 0, share, 1.0))
    entropy = np.bincount(owner, weights=information, minlength=learner_count)
    used_domains = np.bincount(owner, minlength=learner_count)
    spread = entropy / np.log2(np.maximum(used_domains, 2))
    affinity = top_share * (1.0 - parameters.affinity_entropy_penalty * spread)
    return np.where(used_domains == 1, 1.0, affinity), np.where(used_domains <= 1, 0.0, entropy)


def _feedback(
    learner: Array,
    learner_count: int,
    kind: Array | None,
    action_taken: Array | None,
    keep: NDArray[np.bool_],
    parameters: TraitParameters,
) -> Floats:
    is_feedback = np.zeros(len(learner), dtype=bool) if kind is None else kind[keep] == FEEDBACK
    is_acted = np.zeros(len(learner), dtype=bool) if action_taken is None else action_taken[keep] == 1
    rows = np.bincount(learner[is_feedback], minlength=learner_count)
    acted = np.bincount(learner[is_feedback & is_acted], minlength=learner_count)
    prior = parameters.feedback_prior_acted + parameters.feedback_prior_ignored
    return (acted + parameters.feedback_prior_acted) / (rows + prior)


def _retention(
    learner: Array,
    learner_count: int,
    time: Array,
    weights: Floats,
    repeat: NDArray[np.bool_],
    parameters: TraitParameters,
) -> Floats:
    """In logarithms relative to the learner's largest term, so that no weight and no age can underflow the sums."""
    weighty = weights > 0
    owner = learner[weighty]
    newest = np.full(learner_count, np.iinfo(np.int64).min)
    np.maximum.at(newest, owner, time[weighty])
    age_days = (newest[owner] - time[weighty]) / DAY_US
    logarithm = np.log(weights[weighty]) - parameters.retention_decay_per_day * age_days
    largest = np.full(learner_count, -np.inf)
    np.maximum.at(largest, owner, logarithm)
    term = np.exp(logarithm - largest[owner])
    total = np.bincount(owner, weights=term, minlength=learner_count)
    repeated = np.bincount(owner, weights=term * repeat[weighty], minlength=learner_count)
    return _ratio(repeated, total, 0.0)


def _momentum(learner: Array, learner_count: int, day_age: Array, weights: Floats) -> Floats:
    recent = day_age < 28
    owner = learner[recent]
    scaled = _scaled_by_learner(owner, learner_count, weights[recent])
    last_14 = np.bincount(owner, weights=scaled * (day_age[recent] < 14), minlength=learner_count)
    last_28 = np.bincount(owner, weights=scaled, minlength=learner_count)
    return _ratio(last_14, last_28, 0.5)


def _scaled_by_learner(learner: Array, learner_count: int, weights: Floats) -> Floats:
    """Weights over a power of two near the learner's largest: sums of the largest doubles stay finite."""
    largest = np.zeros(learner_count)
    np.maximum.at(largest, learner, weights)
    exponent = np.frexp(largest)[1]
    scaled: Floats = np.ldexp(weights, -exponent[learner])
    return scaled


def _ratio(part: Array, whole: Array, when_whole_is_zero: float) -> Floats:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), when_whole_is_zero)
