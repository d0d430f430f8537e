"""Which column of a foreign table means what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches

from covey.errors import InputError, suggestion

TIME_UNITS_US = {"day": 86_400_000_000, "s": 1_000_000, "ms": 1_000, "us": 1, "ns": 0}
"""Microseconds per unit; nanoseconds are divided instead."""

_OWN_NAMES = {
    "learner": "learner_id",
    "time": "time",
    "domain": "domain",
    "capability": "capability",
    "kind": "kind",
    "action_taken": "action_taken",
    "weight": "weight",
}


@dataclass(frozen=True, slots=True)
class DomainLookup:
    """A Parquet table that gives the domain of each value of an event column.

    Attributes:
        path: the file.
        key: the column that both tables have.
        value: the column of the file that holds the domain.
    """

    path: str
    key: str
    value: str

    @classmethod
    def parse(cls, text: str) -> DomainLookup:
        """From "path:key:value"; the path may hold colons itself."""
        parts = text.rsplit(":", 2)
        if len(parts) != 3 or not all(parts):
            raise InputError(
                f"domain_from is '{text}'", expected="path:key:value, for example sites.parquet:id_site:type"
            )
        return cls(*parts)


@dataclass(frozen=True, slots=True)
class EventMapping:
    """Names of foreign columns. What is left out (None) is looked for under covey's own name.

    Attributes:
        learner: the learner's id, integers or strings without nulls; own name "learner_id".
        time: timestamps, dates, or numbers with `time_unit`, without nulls.
        time_unit: "day", "s", "ms", "us" or "ns" since the epoch, for numeric times.
        domain: strings or integers; nulls are a domain of their own. "" for none, even if a column "domain" exists.
        capability: strings or integers; nulls are a capability of their own. "" for none.
        kind: text or numbers of `EventKind`. "" for none.
        action_taken: booleans or 0 and 1. "" for none.
        weight: finite numbers >= 0. "" for none.
        domain_from: "path:key:value", a Parquet table that gives the domain of each value of the column `key`.
    """

    learner: str | None = None
    time: str | None = None
    time_unit: str | None = None
    domain: str | None = None
    capability: str | None = None
    kind: str | None = None
    action_taken: str | None = None
    weight: str | None = None
    domain_from: str | None = None

    def __post_init__(self) -> None:
        if self.time_unit is not None and self.time_unit not in TIME_UNITS_US:
            raise InputError(f"time_unit is '{self.time_unit}'", expected=", ".join(TIME_UNITS_US))
        if self.domain_from and self.domain:
            raise InputError("domain and domain_from both say where the domain is", remedy="give one of them")

    @classmethod
    def of(cls, mapping: Mapping[str, str] | EventMapping | None) -> EventMapping:
        """From a dictionary of these names.

        Raises:
            InputError: for an unknown name.
        """
        if isinstance(mapping, EventMapping):
            return mapping
        known = [field.name for field in fields(cls)]
        for name in mapping or {}:
            if name not in known:
                raise InputError(f"the mapping has an unknown name '{name}'", remedy=suggestion(name, known))
        return cls(**(mapping or {}))

    def lookup(self) -> DomainLookup | None:
        """The table that gives domains, if any."""
        return DomainLookup.parse(self.domain_from) if self.domain_from else None

    def resolve(self, available: list[str], source: str) -> dict[str, str]:
        """The table's column for each meaning that it has; "domain" is the key column under `domain_from`.

        Raises:
            InputError: for a column that is missing, twice there, or probably misspelt.
        """
        resolved = {}
        lookup = self.lookup()
        for meaning, own_name in _OWN_NAMES.items():
            asked = getattr(self, meaning)
            if meaning == "domain" and lookup:
                asked = lookup.key
            name = own_name if asked is None else asked
            if name in available:
                if available.count(name) > 1:
                    raise InputError("there are two columns of this name", source=source, column=name)
                resolved[meaning] = name
            elif asked or meaning in ("learner", "time"):
                remedy = suggestion(name, available)
                if asked is None:
                    remedy += (
                        f". Name the column that has it: --{meaning} COLUMN, in Python mapping={{'{meaning}': COLUMN}}"
                    )
                raise InputError("there is no such column", source=source, column=name, remedy=remedy)
        self._refuse_misspelt(resolved, available, source)
        return resolved

    def _refuse_misspelt(self, resolved: dict[str, str], available: list[str], source: str) -> None:
        """A column 'capabilty' left unread would silently change every trait."""
        unread = [name for name in available if name not in resolved.values()]
        for meaning, own_name in _OWN_NAMES.items():
            close = get_close_matches(own_name, unread, n=1, cutoff=0.85)
            if meaning not in resolved and getattr(self, meaning) is None and close:
                raise InputError(
                    f"this unknown column looks like '{own_name}'",
                    source=source,
                    column=close[0],
                    remedy=f"map it ({meaning}='{close[0]}'), or say that there is none ({meaning}='')",
                )
