"""A changed copy of a record is what `dataclasses.replace` makes, without what was cached on it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import pytest

from covey.rollout.gates.values import changed


@dataclass(frozen=True)
class Record:
    first: int
    second: int = 2

    @cached_property
    def total(self) -> int:
        return self.first + self.second


def test_a_changed_copy_is_a_replacement() -> None:
    record = Record(1)
    assert record.total == 3
    copy = changed(record, {"second": 5})
    assert copy == replace(record, second=5)
    assert copy.total == 6, "what is cached is of the record that it was worked out for"
    assert record == Record(1), "the old one stays"


def test_what_is_no_field_is_refused() -> None:
    with pytest.raises(TypeError, match="no field third"):
        changed(Record(1), {"third": 3})
