"""Are people who were suggested to each other likelier than chance to have talked?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from covey.errors import InputError
from covey.together.composing import Numbers
from covey.together.similar import Similar


@dataclass(frozen=True, slots=True)
class Chance:
    """The same suggestions with their people exchanged at random.

    Attributes:
        name: among whom people were exchanged.
        share: mean share of suggested pairs who talked.
        low, high: 2.5 % and 97.5 % of the draws.
        p_value: of the share that was found, one-sided; never 0.
    """

    name: str
    share: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Talked:
    """What suggestions were worth.

    Attributes:
        pair_count: suggested pairs that could be judged.
        talked_count: of them, who talked.
        chances: baselines.
    """

    pair_count: int
    talked_count: int
    chances: tuple[Chance, ...]

    @property
    def share(self) -> float:
        """Part of the pairs who talked."""
        return self.talked_count / self.pair_count


def evaluate(
    similar: Similar,
    talked: Numbers,
    among: Mapping[str, NDArray[np.int64]] | None = None,
    known: Numbers | None = None,
    draws: int = 2000,
    seed: int = 0,
) -> Talked:
    """Compare the suggested pairs who talked with what is left when it is drawn anew who stands where in the network.

    The network keeps its shape, with its talkative people (the quadratic assignment procedure: Krackhardt, *Social
    Networks* 10, 1988); pairs are not taken for independent. Exchanging people only among those of the same value asks
    whether traits tell more than that value does.

    Args:
        similar: the suggestions.
        talked: pairs who did, shape (m, 2), of positions in the space, each once; see `edges_of`.
        among: a value per learner by name of the baseline; "everybody" is always one.
        known: pairs who are left out, as suggestions and as successes, such as those who had talked before.
        draws: of the permutations.
        seed: of the draws.

    Raises:
        InputError: no suggestion can be judged.
    """
    size = len(similar.space)
    suggested = similar.pairs()
    is_talked, is_known = _matrix(size, talked), _matrix(size, known)
    chance = np.random.default_rng(seed)

    def counts(order: Numbers) -> tuple[int, int]:
        one, other = order[suggested[:, 0]], order[suggested[:, 1]]
        judged = ~is_known[one, other]
        return int(judged.sum()), int((is_talked[one, other] & judged).sum())

    pair_count, talked_count = counts(np.arange(size))
    if not pair_count:
        raise InputError("no suggested pair is left to judge")
    found = talked_count / pair_count
    baselines = []
    for name, values in {"everybody": np.zeros(size, np.int64), **(among or {})}.items():
        strata = np.unique(values, return_inverse=True)[1]
        places = np.argsort(strata, kind="stable")
        shares = np.empty(draws)
        for draw in range(draws):
            order = np.empty(size, np.int64)
            order[places] = np.lexsort((chance.random(size), strata))
            total, hits = counts(order)
            shares[draw] = hits / total if total else 0.0
        low, high = np.quantile(shares, (0.025, 0.975))
        p_value = (1 + int((shares >= found - 1e-12).sum())) / (1 + draws)
        baselines.append(Chance(name, float(shares.mean()), float(low), float(high), p_value))
    return Talked(pair_count, talked_count, tuple(baselines))


def _matrix(size: int, pairs: Numbers | None) -> NDArray[np.bool_]:
    found = np.zeros((size, size), bool)
    if pairs is not None:
        found[pairs[:, 0], pairs[:, 1]] = found[pairs[:, 1], pairs[:, 0]] = True
    return found
