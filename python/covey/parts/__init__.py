"""Cohorts of learners that are kept in parts: each part answers questions with numbers that add, one coordinator asks.

    parts = [LocalPart(...), ...]
    found = discover_in_parts(lambda question: [part.answer(question) for part in parts], ...)

Any split of the learners gives the bits of `Traits.discover`: what crosses parts are int64 sums in steps of 2^-32, and
choices by hash, which know neither number nor order of the parts.
"""

from covey.parts.coordinator import PartitionedCohorts, discover_in_parts
from covey.parts.local import LocalPart
from covey.parts.merging import PartGroup, merged
from covey.parts.questions import Answer, Ask, Part, Question

__all__ = [
    "Answer",
    "Ask",
    "LocalPart",
    "Part",
    "PartGroup",
    "PartitionedCohorts",
    "Question",
    "discover_in_parts",
    "merged",
]
