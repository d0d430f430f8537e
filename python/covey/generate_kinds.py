"""Kinds of learner as behaviour: when they come, what they are drawn to, what they forget. No trait appears here."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields

import numpy as np
from numpy.typing import NDArray

PERSONAL_SPREAD = 0.15
"""Standard deviation of the logarithm of each learner's own factor on rates and chances."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a learner behaves.

    Attributes:
        sessions_per_week: mean number of sessions in an active week.
        events_per_session: mean number of events, >= 1.
        weekend_pull: how a weekend day compares to a working day, 1 for alike.
        active_week_chance: chance that a week has sessions at all; low values come in bursts.
        weekly_fade: rate at which sessions die away, per week.
        curiosity: chance that an event uses a capability never used before.
        recent_pull: 1 repeats any known capability alike, above 1 the latest learnt ones (older ones are forgotten).
        domain_narrowness: how much less each further domain attracts than the favourite before it (in logarithms).
        feedback_chance: chance that an event is feedback received.
        answer_chance: chance that feedback is acted on.
    """

    sessions_per_week: float
    events_per_session: float
    weekend_pull: float
    active_week_chance: float
    weekly_fade: float
    curiosity: float
    recent_pull: float
    domain_narrowness: float
    feedback_chance: float
    answer_chance: float


KINDS = {
    "explorer": Behaviour(3.6, 2.0, 0.8, 0.92, 0.00, 0.60, 2.0, 0.05, 0.08, 0.55),
    "deepener": Behaviour(2.6, 2.4, 0.3, 0.90, 0.00, 0.10, 1.5, 2.50, 0.08, 0.50),
    "everyday": Behaviour(8.3, 1.6, 1.0, 1.00, 0.00, 0.18, 1.2, 0.35, 0.10, 0.80),
    "reviser": Behaviour(2.5, 2.4, 0.6, 0.95, 0.00, 0.07, 0.7, 0.20, 0.10, 0.75),
    "sprinter": Behaviour(8.0, 3.2, 1.2, 0.28, 0.00, 0.40, 3.0, 0.60, 0.06, 0.30),
    "fader": Behaviour(7.5, 2.0, 0.9, 0.98, 0.50, 0.30, 1.5, 0.30, 0.08, 0.15),
}
"""The kinds by name; a learner's kind is drawn with equal chances."""

KIND_NAMES = tuple(KINDS)
_FIELDS = [field.name for field in fields(Behaviour)]
_TABLE = np.array([astuple(behaviour) for behaviour in KINDS.values()])
_CHANCES = ("active_week_chance", "curiosity", "feedback_chance", "answer_chance")


def draw_behaviours(
    random: np.random.Generator, learner_count: int, noise: float
) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]:
    """Kinds and behaviours of learners.

    Args:
        random: the source of randomness; the same draws are made at every noise level.
        learner_count: n.
        noise: 0 keeps a learner to their kind but for a personal factor; 1 replaces it by a random blend of all kinds,
            so that behaviour says nothing about kind.

    Returns:
        Positions in `KIND_NAMES`, shape (n,), and the fields of `Behaviour` by name, each of shape (n,).
    """
    kind = random.integers(0, len(KIND_NAMES), learner_count)
    blend = random.dirichlet(np.ones(len(KIND_NAMES)), learner_count) @ _TABLE
    personal = np.exp(PERSONAL_SPREAD * random.standard_normal((learner_count, len(_FIELDS))))
    values = ((1.0 - noise) * _TABLE[kind] + noise * blend) * personal
    behaviours = {name: np.ascontiguousarray(values[:, column]) for column, name in enumerate(_FIELDS)}
    for name in _CHANCES:
        np.minimum(behaviours[name], 1.0, out=behaviours[name])
    np.maximum(behaviours["events_per_session"], 1.0, out=behaviours["events_per_session"])
    return kind, behaviours
