"""Who is like whom, and who should learn together: nearest learners in trait space, study groups."""

from __future__ import annotations

from covey.about_learners import Attribute
from covey.together.groups import Compose, Friends, Groups, Wanted, form_groups
from covey.together.similar import Similar, find_similar
from covey.together.space import Space

__all__ = [
    "Attribute",
    "Compose",
    "Friends",
    "Groups",
    "Similar",
    "Space",
    "Wanted",
    "find_similar",
    "form_groups",
]
