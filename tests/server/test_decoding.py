"""Events of requests: what is read, and how what is wrong is named."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from covey.v1 import events_pb2
from covey_server.decoding import NamedColumn, decode_packed, decode_rows
from covey_server.errors import CallError

NAMES = st.lists(st.text(max_size=2), max_size=3)


def packed(**changes: Any) -> events_pb2.PackedEvents:
    """Two good events, with fields changed."""
    fields: dict[str, Any] = {
        "event_count": 2,
        "time_us": np.array([1_000_000, 2_000_000], "<i8").tobytes(),
        "domain": events_pb2.DictionaryColumn(values=["a", "b"], indices_uint8=bytes([1, 0])),
        "capability": events_pb2.DictionaryColumn(values=["x"], indices_uint16=np.zeros(2, "<u2").tobytes()),
        "kind": bytes([2, 4]),
        "action_taken": bytes([0, 1]),
        "weight_float32": np.array([1.5, 0.0], "<f4").tobytes(),
    }
    return events_pb2.PackedEvents(**(fields | changes))


def violations_of(decode: Callable[[], object]) -> dict[str, str]:
    with pytest.raises(CallError) as caught:
        decode()
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    return dict(caught.value.violations)


def test_packed_columns_are_read_in_place() -> None:
    message = packed()
    columns = decode_packed(message, "packed")
    assert columns.row_count == 2
    assert columns.time_us.tolist() == [1_000_000, 2_000_000]
    assert [columns.domain.names[index] for index in columns.domain.index] == ["b", "a"]
    assert columns.capability.index.dtype == np.uint16
    assert columns.weight is not None
    assert columns.weight.tolist() == [1.5, 0.0]
    assert columns.kind is not None
    assert not columns.time_us.flags.owndata


def test_absent_columns_mean_their_defaults() -> None:
    columns = decode_packed(events_pb2.PackedEvents(event_count=1, time_us=bytes(8)), "packed")
    assert columns.kind is None
    assert columns.action_taken is None
    assert columns.weight is None
    assert columns.domain.names == ("",)
    assert columns.capability.index.tolist() == [0]


def test_a_repeated_dictionary_value_is_one_value() -> None:
    column = events_pb2.DictionaryColumn(values=["x", "y", "x"], indices_uint8=bytes([0, 2]))
    columns = decode_packed(packed(capability=column), "packed")
    assert columns.capability.names == ("x", "y")
    assert columns.capability.index.tolist() == [0, 0]


def test_the_engines_get_capabilities_as_they_read_them() -> None:
    column = events_pb2.DictionaryColumn(values=["x", "y"], indices_uint8=bytes([0, 1]))
    assert decode_packed(packed(capability=column), "packed").capability.index.dtype == np.uint16


@pytest.mark.parametrize(
    ("changes", "field", "description"),
    [
        ({"time_us": bytes(17)}, "time_us", "17 bytes is not a multiple of 8"),
        ({"time_us": bytes(24)}, "time_us", "holds 3 rows; event_count is 2"),
        ({"time_us": b""}, "time_us", "holds 0 rows; event_count is 2"),
        ({"time_us": np.array([0, 2**62], "<i8").tobytes()}, "time_us", "row 1 is 4611686018427387904"),
        ({"event_count": -1}, "event_count", "-1 is negative"),
        ({"kind": bytes([1])}, "kind", "holds 1 rows"),
        ({"kind": bytes([1, 9])}, "kind", "row 1 is 9, which is no EventKind"),
        ({"action_taken": bytes([2, 0])}, "action_taken", "row 0 is 2; expected 0 or 1"),
        ({"weight_float32": np.array([1, -1], "<f4").tobytes()}, "weight_float32", "row 1 is -1.0"),
        ({"weight_float32": np.array([math.nan, 1], "<f4").tobytes()}, "weight_float32", "row 0 is nan"),
        ({"weight_float32": np.array([1, math.inf], "<f4").tobytes()}, "weight_float32", "row 1 is inf"),
        ({"learner_id_int64": bytes(16)}, "learner_id_int64", "must be absent"),
        (
            {"domain": events_pb2.DictionaryColumn(values=["a"], indices_uint8=bytes([0, 1]))},
            "domain.indices_uint8",
            "row 1 is 1; the dictionary holds 1 values",
        ),
        (
            {"domain": events_pb2.DictionaryColumn(values=["a"], indices_int32=np.array([-1, 0], "<i4").tobytes())},
            "domain.indices_int32",
            "row 0 is -1",
        ),
        ({"capability": events_pb2.DictionaryColumn(values=["a"])}, "capability.indices", "is missing"),
    ],
)
def test_wrong_packed_fields_are_named(changes: dict[str, Any], field: str, description: str) -> None:
    found = violations_of(lambda: decode_packed(packed(**changes), "requests[3].packed"))
    assert description in found[f"requests[3].packed.{field}"]


def test_every_wrong_field_is_named_at_once() -> None:
    message = packed(time_us=bytes(3), kind=bytes(5), weight_float32=bytes(1))
    found = violations_of(lambda: decode_packed(message, "packed"))
    assert set(found) == {"packed.time_us", "packed.kind", "packed.weight_float32"}


def test_a_claimed_number_of_rows_allocates_nothing() -> None:
    message = events_pb2.PackedEvents(event_count=2**31 - 1, time_us=bytes(8))
    tracemalloc.start()
    try:
        assert set(violations_of(lambda: decode_packed(message, "packed"))) == {"packed.time_us"}
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_learners_that_no_call_can_name_are_refused() -> None:
    names = events_pb2.DictionaryColumn(values=["a", "é" * 128, "é" * 129], indices_uint8=bytes([0, 2]))
    found = violations_of(lambda: decode_packed(packed(learner_id_dictionary=names), "packed", with_learners=True))
    assert set(found) == {"packed.learner_id_dictionary.values[2]"}
    rows = events_pb2.EventRows(rows=[events_pb2.EventRow(learner_id="x" * 257, time=Timestamp())])
    assert set(violations_of(lambda: decode_rows(rows, "rows", with_learners=True))) == {"rows.rows[0].learner_id"}


def test_learners_of_appended_events() -> None:
    ids = np.array([7, 2**53 + 1], "<i8").tobytes()
    columns = decode_packed(packed(learner_id_int64=ids), "packed", with_learners=True)
    assert isinstance(columns.learner, np.ndarray)
    assert columns.learner.tolist() == [7, 2**53 + 1]
    named = events_pb2.DictionaryColumn(values=["ann", "bo"], indices_uint8=bytes([1, 0]))
    columns = decode_packed(packed(learner_id_dictionary=named), "packed", with_learners=True)
    assert isinstance(columns.learner, NamedColumn)
    assert columns.learner.names == ("ann", "bo")


def test_appended_events_without_a_learner_are_refused() -> None:
    assert "packed.learner_id" in violations_of(lambda: decode_packed(packed(), "packed", with_learners=True))
    empty = events_pb2.DictionaryColumn(values=[""], indices_uint8=bytes(2))
    found = violations_of(lambda: decode_packed(packed(learner_id_dictionary=empty), "packed", with_learners=True))
    assert "packed.learner_id_dictionary.values[0]" in found


def test_rows_as_people_write_them() -> None:
    rows = events_pb2.EventRows(
        rows=[
            events_pb2.EventRow(time=Timestamp(seconds=-1, nanos=999_999_999), domain="a", capability="x", weight=2.0),
            events_pb2.EventRow(
                time=Timestamp(seconds=5), domain="b", kind=events_pb2.EVENT_KIND_FEEDBACK, action_taken=True
            ),
        ]
    )
    columns = decode_rows(rows, "rows")
    assert columns.time_us.tolist() == [-1, 5_000_000]
    assert columns.weight is not None
    assert columns.weight.tolist() == [2.0, 1.0]
    assert columns.kind is not None
    assert columns.kind.tolist() == [0, 4]
    assert columns.action_taken is not None
    assert columns.action_taken.tolist() == [0, 1]
    assert columns.domain.names == ("a", "b")


@pytest.mark.parametrize(
    ("row", "field"),
    [
        (events_pb2.EventRow(domain="a"), "rows[0].time"),
        (events_pb2.EventRow(time=Timestamp(), kind=77), "rows[0].kind"),  # type: ignore[arg-type]
        (events_pb2.EventRow(time=Timestamp(), weight=-0.5), "rows[0].weight"),
        (events_pb2.EventRow(time=Timestamp(), weight=math.nan), "rows[0].weight"),
        (events_pb2.EventRow(time=Timestamp(seconds=10**12)), "rows[0].time"),
        (events_pb2.EventRow(time=Timestamp(seconds=2**62)), "rows[0].time"),
        (events_pb2.EventRow(time=Timestamp(seconds=-(2**63))), "rows[0].time"),
        (events_pb2.EventRow(time=Timestamp(nanos=-1)), "rows[0].time"),
        (events_pb2.EventRow(time=Timestamp(nanos=2_000_000_000)), "rows[0].time"),
        (events_pb2.EventRow(time=Timestamp(), learner_id="x"), "rows[0].learner_id"),
    ],
)
def test_wrong_rows_are_named(row: events_pb2.EventRow, field: str) -> None:
    found = violations_of(lambda: decode_rows(events_pb2.EventRows(rows=[row]), "requests[0].rows"))
    assert f"requests[0].rows.{field}" in found


@settings(max_examples=200)
@given(
    st.builds(
        events_pb2.PackedEvents,
        event_count=st.integers(-3, 5),
        time_us=st.binary(max_size=48),
        kind=st.binary(max_size=6),
        action_taken=st.binary(max_size=6),
        weight_float32=st.binary(max_size=24),
        domain=st.builds(
            events_pb2.DictionaryColumn,
            values=st.lists(st.text(max_size=2), max_size=3),
            indices_uint8=st.binary(max_size=6),
        ),
        capability=st.builds(
            events_pb2.DictionaryColumn,
            values=st.lists(st.text(max_size=2), max_size=3),
            indices_int32=st.binary(max_size=24),
        ),
    )
)
def test_hostile_columns_are_read_whole_or_refused_by_name(message: events_pb2.PackedEvents) -> None:
    try:
        columns = decode_packed(message, "packed")
    except CallError as error:
        assert error.code is grpc.StatusCode.INVALID_ARGUMENT
        assert all(field.startswith("packed.") for field, _ in error.violations)
        return
    count = message.event_count
    assert len(columns.time_us) == len(columns.domain.index) == len(columns.capability.index) == count
    for index, names in (
        (columns.domain.index, columns.domain.names),
        (columns.capability.index, columns.capability.names),
    ):
        assert all(0 <= position < len(names) for position in index)
