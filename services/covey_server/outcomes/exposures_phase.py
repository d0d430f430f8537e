"""The exposures of one phase of one rollout: who was first answered by which variant, when, in which segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from covey_server.outcomes.exposures_table import ExposureTable, segment_of

OTHER_SEGMENT = "other"
MOST_SEGMENTS = 100
OUTSIDE = 2
"""In the place of a variant's number: a learner of an excluded segment, who belongs to neither arm."""


def phase_key(uid: str, phase: str) -> int:
    """64 bits that stand for a phase of the rollout with that uid."""
    return int.from_bytes(blake2b(f"{uid}\0{phase}".encode(), digest_size=8).digest(), "little")


@dataclass(slots=True, eq=False)
class ExposedPhase:
    """A phase with its exposures.

    Attributes:
        key: `phase_key` of it.
        rollout, uid, phase: which phase.
        variants: names of baseline and candidate.
        window_ms: how long after an exposure an outcome is credited to it.
        caps: (low, high) by metric, fixed when the phase began; an end may be infinite.
        tables: exposures of the baseline and of the candidate.
        segments: names by number; number 0 is "", no segment.
        counts: distinct learners by (variant number, segment number).
        newest_ms: when the newest exposure was.
        stored_numbers: the store's number of each segment that it knows, in the order of `segments`.
        is_stored: whether the store knows the phase.
        covariates: by trait, its values at the exposures of `tables`, as the bits of float64.
        outside: learners who were first met when their segment was excluded already: no exposures, but their segment
            is not to move either.
    """

    key: int
    rollout: str
    uid: str
    phase: str
    variants: tuple[str, str]
    window_ms: int
    caps: dict[str, tuple[float, float]]
    tables: tuple[ExposureTable, ExposureTable] = field(default_factory=lambda: (ExposureTable(), ExposureTable()))
    segments: list[str] = field(default_factory=lambda: [""])
    counts: dict[tuple[int, int], int] = field(default_factory=dict)
    newest_ms: int = 0
    stored_numbers: list[int] = field(default_factory=list)
    is_stored: bool = False
    covariates: dict[str, tuple[ExposureTable, ExposureTable]] = field(default_factory=dict)
    outside: ExposureTable = field(default_factory=ExposureTable)
    _number_of_segment: dict[str, int] = field(default_factory=lambda: {"": 0})

    def variant_number(self, variant: str) -> int | None:
        """0 for the baseline, 1 for the candidate, None for any other variant."""
        return self.variants.index(variant) if variant in self.variants else None

    def table(self, number: int) -> ExposureTable:
        """Of the variant with that number, or of those outside."""
        return self.outside if number == OUTSIDE else self.tables[number]

    def segment_number(self, segment: str) -> int:
        """The number of a segment. The 101st and later ones are one segment, "other": labels stay few."""
        number = self._number_of_segment.get(segment)
        if number is None:
            if len(self.segments) > MOST_SEGMENTS:
                segment = OTHER_SEGMENT
            number = self._number_of_segment.get(segment, len(self.segments))
            if number == len(self.segments):
                self.segments.append(segment)
                self._number_of_segment[segment] = number
        return number

    def set_segments(self, names: Sequence[str]) -> None:
        """Segments by number, as the store has them."""
        self.segments = list(names)
        self._number_of_segment = {name: number for number, name in enumerate(names)}

    def covariate_tables(self, trait: str) -> tuple[ExposureTable, ExposureTable]:
        """The values of a trait, made at first use; for the one writer."""
        found = self.covariates.get(trait)
        if found is None:
            found = (ExposureTable(), ExposureTable())
            self.covariates = {**self.covariates, trait: found}
        return found

    def count(self, variant: int, detail: int, step: int) -> None:
        """Count one exposure more (`step` 1) or less (-1)."""
        place = (variant, segment_of(detail))
        self.counts[place] = self.counts.get(place, 0) + step

    def is_closed(self, now_ms: int) -> bool:
        """Whether every window has closed."""
        return self.newest_ms + self.window_ms < now_ms
