"""What covey reads from outside, as functions of bytes: each refuses in its own error or understands, and nothing else.

`make fuzz` runs them under atheris, test_decoders.py on the corpus and on seeded mutations of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from google.protobuf.message import DecodeError

from covey import Events
from covey.access.credentials import parse as parse_credentials
from covey.access.credentials import text_of
from covey.errors import InputError
from covey.rollout.findings import SpecError
from covey.rollout.samples import SampleError, read_samples
from covey.rollout.spec import dump_spec, load_spec, with_defaults
from covey.rollout.state import IllegalEntry, RolloutState, apply
from covey.v1 import events_pb2, rollouts_pb2
from covey_controller.page import Page
from covey_controller.scrape import AbsenceError
from covey_server.decoding import decode_packed, decode_rows
from covey_server.errors import CallError

Decoder = Callable[[bytes], object]

_TABLE = pa.table(
    {
        "learner_id": ["a", "b"],
        "time": pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * 2),
        "day": [1, 2],
        "site": ["x", None],
        "clicks": [1.0, 2.0],
    }
)


def spec(data: bytes) -> None:
    """A plan in YAML."""
    try:
        read = load_spec(data.decode("utf-8", "replace"), "plan.yaml")
    except SpecError as error:
        assert str(error)
        return
    assert load_spec(dump_spec(read), "again.yaml") == read
    with_defaults(read)


def mapping(data: bytes) -> None:
    """A mapping of foreign columns, as JSON of names."""
    try:
        names = json.loads(data)
    except ValueError:
        return
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        return
    try:
        events = Events.from_arrow(_TABLE, mapping=names)
    except InputError as error:
        assert str(error)
        return
    assert len(events) == len(_TABLE)


def packed(data: bytes) -> None:
    """Packed columns of events."""
    try:
        message = events_pb2.PackedEvents.FromString(data)
    except DecodeError:
        return
    for with_learners in (False, True):
        try:
            columns = decode_packed(message, "packed", with_learners=with_learners)
        except CallError as error:
            assert str(error)
            continue
        count = columns.row_count
        for column in (columns.domain, columns.capability):
            assert len(column.index) == count
            assert count == 0 or int(np.max(column.index)) < len(column.names)
        for values in (columns.kind, columns.action_taken, columns.weight):
            assert values is None or len(values) == count
        assert columns.weight is None or bool(np.all(columns.weight >= 0))


def rows(data: bytes) -> None:
    """Events row by row."""
    try:
        message = events_pb2.EventRows.FromString(data)
    except DecodeError:
        return
    for with_learners in (False, True):
        try:
            columns = decode_rows(message, "rows", with_learners=with_learners)
        except CallError as error:
            assert str(error)
            continue
        assert columns.row_count == len(message.rows)


def journal(data: bytes) -> None:
    """A journal: entries as ListEntries sends them."""
    try:
        entries = rollouts_pb2.ListEntriesResponse.FromString(data).entries
    except DecodeError:
        return
    state: RolloutState | None = None
    for entry in entries:
        try:
            state = apply(state, entry)
        except IllegalEntry as error:
            assert str(error)
            return
        assert state.last_sequence == entry.sequence
        assert 0 <= state.candidate_weight_bp <= 10_000


def page(data: bytes) -> None:
    """A metrics page as a controller scrapes it."""
    try:
        read = Page(data.decode("utf-8", "replace"), lines=1000, oldest_timestamp=0.0)
        for name in ("covey_requests_total", "covey_rollout_weight_ratio", "covey_server_start_time_seconds"):
            read.select(name, lambda _: True)
    except AbsenceError as error:
        assert str(error)


def credentials(data: bytes) -> None:
    """The file of callers and roles."""
    try:
        read = parse_credentials(data.decode("utf-8", "replace"), "tokens.json")
    except InputError as error:
        assert str(error)
        return
    again = parse_credentials(text_of(read.all), "again.json")
    assert list(again.all) == list(read.all)


def samples(data: bytes) -> None:
    """A table of counters."""
    lines = [line.split(",") for line in data.decode("utf-8", "replace").splitlines()]
    if not lines:
        return
    for cumulative in (False, True):
        try:
            read_samples(lines[0], lines[1:], "samples.csv", cumulative=cumulative)
        except SampleError as error:
            assert str(error)


DECODERS: dict[str, Decoder] = {
    decoder.__name__: decoder for decoder in (spec, mapping, packed, rows, journal, page, credentials, samples)
}
