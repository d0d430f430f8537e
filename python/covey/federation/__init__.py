"""Cohorts of learners who stay in their region: only sums cross the border, and they cross it masked.

    model = discover_without_learners(ask, k=5, seed=1)

The coordinator of a federation asks every region the same questions (`covey.parts`), but none that single learners
answer. What a region says is a vector of integers under masks that it shares with each other region in pairs and that
add to nothing: only the total over all regions can be read. Totals are exact, so that the federation finds the bits
that one process with all learners would find.
"""

from covey.federation.coordinator import Federation, RegionRefusedError
from covey.federation.discovery import discover_without_learners
from covey.federation.masks import Keyring
from covey.federation.region import MINIMUM_GROUP_SIZE, RegionSession

__all__ = [
    "MINIMUM_GROUP_SIZE",
    "Federation",
    "Keyring",
    "RegionRefusedError",
    "RegionSession",
    "discover_without_learners",
]
