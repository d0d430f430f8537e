"""What groups are worth, in words and rows."""

from __future__ import annotations

from covey.together.groups import Compose, Friends, Groups
from covey.together.quality import Against, Quality

HEADS = ("what", "groups", "by chance", "95 % of draws", "bound")
CHANCE = (
    "By chance: {draws} draws of groups of the same sizes from the same pools. "
    "Bound: no groups of these sizes can pass it."
)


def basis(found: Groups) -> str:
    """Who was placed in what."""
    q, wanted = found.quality, found.wanted
    sizes = f"{q.smallest}" if q.smallest == q.largest else f"{q.smallest} to {q.largest}"
    what = {Compose.alike: "of people alike", Compose.mixed: "mixed"}[wanted.compose]
    shared = f", each the same in {' and '.join(wanted.same)}" if wanted.same else ""
    kept = ", friends kept together" if wanted.friends == Friends.keep and q.friendships is not None else ""
    return (
        f"{q.placed_count:,} of {q.learner_count:,} learners ({100 * q.placed_count / q.learner_count:.1f} %) in "
        f"{len(found):,} groups of {sizes}, {what}{shared}{kept}."
    )


def rows(quality: Quality) -> list[list[str]]:
    """Figures against chance and bounds, as text."""
    found = [
        _row("distance to the group's mean", quality.spread, 4),
        _row("groups' means from their pool's", quality.between, 4),
    ]
    if quality.mixture is not None:
        found.append(_row("out of mixture", quality.mixture, 4))
    if quality.friendships is not None:
        found.append(_row("friendships within groups", quality.friendships, 4))
    return found


def _row(what: str, own: Against, digits: int) -> list[str]:
    def shown(value: float) -> str:
        return f"{value:.{digits}f}"

    chance = f"{shown(own.chance_low)} to {shown(own.chance_high)}"
    return [what, shown(own.value), shown(own.chance), chance, "" if own.bound is None else shown(own.bound)]
