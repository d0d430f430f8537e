"""Which variant answers for a learner: sticky, monotone in the weight, the same in any client language (DESIGN 7)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from covey import _core
from covey.identifiers import bucket, in_candidate
from covey_server.metrics.counters import SHARD_COUNT

if TYPE_CHECKING:
    from covey_server.split import Split

SHARD_SALT = "shard"
_BUCKETS = 2**32

EXCLUDED = "excluded"
"""Label of requests of segments that were routed back: answered by the baseline, counted in neither arm."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a call goes.

    Attributes:
        variant: name of the variant that answers.
        split: the traffic split in force; None while no rollout splits the traffic.
        is_candidate: whether that variant is the split's candidate.
        is_probe: sent there by a probe, outside request metrics, exposure and shadow.
        counted_as: variant under whose name the request is counted; "" where that is `variant`.
    """

    variant: str
    split: Split | None
    is_candidate: bool
    is_probe: bool = False
    counted_as: str = ""

    @property
    def other_variant(self) -> str | None:
        """The variant that a shadow asks; None where there is nothing to compare."""
        if self.split is None:
            return None
        return self.split.baseline if self.is_candidate else self.split.candidate


def route(
    learner_id: str, split: Split | None, stable_variant: str, probed_variant: str = "", segment: str = ""
) -> Route:
    """The variant for a learner under the split in force, or the one that a probe asks for.

    Learners of an excluded segment get the baseline, and no exposure, shadow or place among its requests: the arms
    are compared on the learners that are still split.
    """
    if probed_variant:
        is_candidate = split is not None and probed_variant == split.candidate
        return Route(probed_variant, split, is_candidate, is_probe=True)
    if split is None:
        return _stable(stable_variant)
    if split.excludes(segment):
        return excluded(split)
    weight_bp = split.candidate_weight_bp
    if weight_bp > 0 and in_candidate(bucket(split.uid, learner_id), weight_bp):
        return Route(split.candidate, split, is_candidate=True)
    return Route(split.baseline, split, is_candidate=False)


def excluded(split: Split) -> Route:
    """Where learners of an excluded segment go."""
    return Route(split.baseline, None, is_candidate=False, counted_as=EXCLUDED)


@lru_cache(maxsize=4)
def _stable(variant: str) -> Route:
    return Route(variant, None, is_candidate=False)


def shard_of(learner_id: str) -> int:
    """The learner's metric shard, 0 to 99, by a hash that has nothing to do with any rollout's split."""
    # `covey.identifiers.bucket` without the frames around it: this is done for every call.
    return _core.murmur3_x86_32(f"{SHARD_SALT}:{learner_id}".encode()) * SHARD_COUNT // _BUCKETS


def shards_of(buckets: NDArray[np.uint32]) -> list[int]:
    """How many of some learners fall into each shard, from their buckets under `SHARD_SALT`."""
    counts: list[int] = np.bincount(buckets.astype(np.uint64) * SHARD_COUNT // _BUCKETS, minlength=SHARD_COUNT).tolist()
    return counts
