"""Scores of learners at one instant, each with what speaks for it; a new model takes over by shares of the learners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from covey.churn.features import FEATURE_NAMES, GROUPS, Floats, History, feature_rows
from covey.churn.model import ChurnModel
from covey.errors import InputError
from covey.identifiers import LearnerIds, candidate_buckets
from covey.instants import instant_to_datetime, instant_to_us

if TYPE_CHECKING:
    from covey.events import Events

MOST_REASONS = 3
_LEAST_EFFECT = 0.05
_WORDS = {
    "counts": ("active_days_28d", "active on {0:.0f} of the last 28 days, typical {1:.0f}"),
    "silence": ("silent_days", "silent for {0:.0f} days, typical {1:.0f}"),
    "earlier weeks": ("active_days_56d", "active on {0:.0f} of the last 56 days, typical {1:.0f}"),
    "gaps": ("longest_gap_days", "longest pause so far {0:.0f} days, typical {1:.0f}"),
    "habits": ("active_day_rate", "active on {0:.0%} of all days so far, typical {1:.0%}"),
    "tenure": ("tenure_days", "here for {0:.0f} days, typical {1:.0f}"),
    "traits": ("interaction_frequency", "interaction frequency {0:.2f}, typical {1:.2f}"),
}


@dataclass(frozen=True, slots=True)
class Reason:
    """What speaks for a score.

    Attributes:
        code: the group of features, such as "silence".
        effect: by how much the logit is above what it would be were the group as it is with a typical learner.
        text: with the group's leading number, in words.
    """

    code: str
    effect: float
    text: str


@dataclass(frozen=True, eq=False, slots=True)
class Scores:
    """One row per learner who was active in the days before.

    Attributes:
        as_of_us: no event at or after it was looked at.
        learner_ids: n learners, ascending.
        probability: float64, shape (n,): chance of leaving.
        flagged: bool, shape (n,): at or above the threshold of the model that answered.
        variant: int64, shape (n,): position in `models` of the one that answered.
        models: the stable one and, where there is one, the candidate.
        features: float64, shape (n, len(FEATURE_NAMES)).
        ignored_event_count: events at or after `as_of_us`.
    """

    as_of_us: int
    learner_ids: LearnerIds
    probability: Floats
    flagged: NDArray[np.bool_]
    variant: NDArray[np.int64]
    models: tuple[ChurnModel, ...]
    features: Floats
    ignored_event_count: int

    def __len__(self) -> int:
        return len(self.probability)

    def reasons(self, rows: Sequence[int] | NDArray[np.int64]) -> list[tuple[Reason, ...]]:
        """At most three for each of some rows, the strongest first; none where nothing speaks for leaving."""
        chosen = np.asarray(rows, dtype=np.int64)
        found: list[tuple[Reason, ...]] = [()] * len(chosen)
        for place, model in enumerate(self.models):
            own = np.flatnonzero(self.variant[chosen] == place)
            if len(own):
                for row, reasons in zip(own.tolist(), _reasons(model, self.features[chosen[own]]), strict=True):
                    found[row] = reasons
        return found

    def to_arrow(self, with_reasons: bool = True) -> object:
        """A table: learner_id, as_of, probability, flagged, variant, reasons (codes) and reason (words)."""
        import pyarrow as pa

        rows = np.arange(len(self))
        columns = {
            "learner_id": self.learner_ids.to_arrow(),
            "as_of": pa.array(np.full(len(self), self.as_of_us), pa.timestamp("us", "UTC")),
            "probability": pa.array(self.probability),
            "flagged": pa.array(self.flagged),
            "variant": pa.array([self.models[place].variant for place in self.variant.tolist()], pa.string()),
        }
        if with_reasons:
            told = self.reasons(rows)
            columns["reasons"] = pa.array([[one.code for one in own] for own in told], pa.list_(pa.string()))
            columns["reason"] = pa.array(["; ".join(one.text for one in own) for own in told], pa.string())
        return pa.table(columns)


def score(
    model: ChurnModel,
    events: Events,
    as_of: datetime | np.datetime64 | int | None = None,
    *,
    candidate: ChurnModel | None = None,
    weight_bp: int = 0,
    salt: str = "",
    threads: int | None = None,
) -> Scores:
    """Who is about to leave.

    Args:
        model: answers.
        events: in any order of rows.
        as_of: what happened before it is looked at; just after the newest event by default.
        candidate: a new version, which answers for a share of the learners: those whose bucket (as in rollouts:
            murmur3 of "salt:learner") is below it. A share that grows keeps its learners.
        weight_bp: its share, basis points.
        salt: of the buckets, such as the rollout's uid; a share above 0 needs one.
        threads: one per processor by default.

    Raises:
        InputError: an instant before every event, nobody active in the days before it, or two models that foretell
            different things or read different traits, or a share without a candidate or a salt.
    """
    as_of_us = events.newest_us + 1 if as_of is None else instant_to_us(as_of)
    oldest_us = int(events.time_us.min())
    if as_of_us <= oldest_us:
        raise InputError(
            f"as_of {_text(as_of_us)} is before every event: the first is at {_text(oldest_us)}",
            remedy="choose a later instant",
        )
    _check_pair(model, candidate, weight_bp, salt)
    history = History.of(events, threads)
    (rows,) = feature_rows(events, history, [as_of_us], model.definition.active_days, model.parameters, threads)
    if not len(rows.learners):
        raise InputError(
            f"nobody was active in the {model.definition.active_days} days before {_text(as_of_us)}: they have left",
            remedy="choose an earlier instant",
        )
    ids = events.learner_ids.take(rows.learners)
    models = (model,) if candidate is None else (model, candidate)
    variant = np.zeros(len(rows.learners), dtype=np.int64)
    if candidate is not None:
        variant = (ids.buckets(salt).astype(np.int64) < candidate_buckets(weight_bp)).astype(np.int64)
    probability = np.zeros(len(variant))
    flagged = np.zeros(len(variant), dtype=bool)
    for place, own in enumerate(models):
        mine = variant == place
        probability[mine] = own.probabilities(rows.values[mine])
        flagged[mine] = probability[mine] >= own.threshold
    ignored = int((history.time_us >= as_of_us).sum())
    return Scores(as_of_us, ids, probability, flagged, variant, models, rows.values, ignored)


def _check_pair(model: ChurnModel, candidate: ChurnModel | None, weight_bp: int, salt: str) -> None:
    if candidate is None:
        if weight_bp:
            raise InputError("a share for a candidate, and no candidate")
        return
    if not 0 <= weight_bp <= 10_000:
        raise InputError(f"a share of {weight_bp} basis points", expected="0 to 10,000")
    for what in ("definition", "parameters", "trait_version"):
        if getattr(candidate, what) != getattr(model, what):
            raise InputError(
                f"{candidate.variant} has another {what} than {model.variant}: their scores cannot stand side by side",
                remedy="train the candidate for the same question",
            )
    if weight_bp and not salt:
        raise InputError(
            "a share for a candidate, and no salt: the same learners would come first with every candidate",
            remedy="give a salt, such as the rollout's uid",
        )


def _reasons(model: ChurnModel, features: Floats) -> list[tuple[Reason, ...]]:
    """Each group of features replaced by that of a typical learner: what the logit loses is what speaks for leaving."""
    logits = model.logits(features)
    groups = [name for name, members in GROUPS.items() if any(own in model.feature_names for own in members)]
    typical = dict(zip(model.feature_names, model.typical.tolist(), strict=True))
    effects = np.zeros((len(features), len(groups)))
    for place, group in enumerate(groups):
        other = features.copy()
        for name in GROUPS[group]:
            if name in typical:
                other[:, FEATURE_NAMES.index(name)] = typical[name]
        effects[:, place] = logits - model.logits(other)
    found = []
    for row, own in zip(features, effects, strict=True):
        order = [place for place in np.argsort(-own, kind="stable") if own[place] >= _LEAST_EFFECT][:MOST_REASONS]
        found.append(tuple(Reason(groups[at], float(own[at]), _words(groups[at], row, typical)) for at in order))
    return found


def _words(group: str, row: Floats, typical: dict[str, float]) -> str:
    name, text = _WORDS[group]
    if name not in typical:
        return group
    return text.format(float(row[FEATURE_NAMES.index(name)]), typical[name])


def _text(instant_us: int) -> str:
    return instant_to_datetime(instant_us).isoformat()
