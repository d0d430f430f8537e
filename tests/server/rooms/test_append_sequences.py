"""Any sequence of streams, repeats, gaps, bad chunks and deletions against a model of a few lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey.v1 import analyzer_pb2, datasets_pb2, events_pb2

LEARNERS = ("1", "2", "18446744073709551615", "-9", "ada", "ünï", "007")
_names = count(1)

Message = tuple[int, tuple[int, ...], str]
messages = st.tuples(
    st.sampled_from([0, 0, 0, 0, -1, -2, 1]),
    st.lists(st.integers(0, len(LEARNERS) - 1), max_size=4).map(tuple),
    st.sampled_from(["rows", "rows", "packed", "packed", "bad"]),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["a", "b"]), st.lists(messages, max_size=6)),
        st.sampled_from(LEARNERS),
    ),
    max_size=6,
)


@dataclass
class Model:
    """What should be stored."""

    synced: dict[str, int] = field(default_factory=lambda: {"a": 0, "b": 0})
    learners: Counter[str] = field(default_factory=Counter)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Any]:
    server_class = request.getfixturevalue("server_class")
    running = server_class(Path(tmp_path_factory.mktemp("sequences")))
    yield running
    running.stop()


@settings(max_examples=40)
@given(plan=steps)
def test_appends_follow_the_model(shared: Any, plan: list[tuple[str, list[Message]] | str]) -> None:
    name = shared.create_dataset(f"d{next(_names)}")
    model = Model()
    for step in plan:
        if isinstance(step, str):
            request = analyzer_pb2.DeleteLearnerRequest(learner_id=step, request_id=f"{name}-{next(_names)}")
            shared.analyzer.DeleteLearner(request)
            del model.learners[step]
        else:
            run_stream(shared, name, model, *step)
    view = shared.rooms.datasets.view(name)
    assert view.event_count == model.learners.total()
    found: Counter[str] = Counter()
    if view.event_count:
        events = view.events()
        found.update(events.learner_ids.text(index) for index in events.learner_index_of_rows())
    assert found == +model.learners
    for learner_id in LEARNERS:
        events = view.learner_events(learner_id)
        assert (events.row_count if events else 0) == model.learners[learner_id]


def run_stream(shared: Any, name: str, model: Model, append_id: str, plan: list[Message]) -> None:
    """One stream, all of whose messages are sent at once."""
    requests = [datasets_pb2.AppendEventsRequest(dataset=name, append_id=append_id)]
    most_answers = 1
    expected_code = grpc.StatusCode.OK
    synced_before = model.synced[append_id]
    for offset, learners, form in plan:
        next_chunk = model.synced[append_id] + 1
        sequence = max(1, next_chunk + offset)
        requests.append(chunk(sequence, learners, form))
        if expected_code is not grpc.StatusCode.OK:
            continue
        if sequence > next_chunk:
            expected_code = grpc.StatusCode.OUT_OF_RANGE
        elif sequence == next_chunk and form == "bad":
            expected_code = grpc.StatusCode.INVALID_ARGUMENT
        else:
            most_answers += 1
            if sequence == next_chunk:
                model.synced[append_id] = sequence
                model.learners.update(LEARNERS[learner] for learner in learners)

    answers: list[int] = []
    code = grpc.StatusCode.OK
    try:
        stream = shared.analyzer.AppendEvents(iter(requests), timeout=20)
        answers.extend(answer.synced_chunk_sequence for answer in stream)
    except grpc.RpcError as error:
        assert isinstance(error, grpc.Call)
        code = error.code()
    assert code is expected_code
    assert min(2, most_answers) <= len(answers) <= most_answers  # what is synced together is answered together
    assert answers[0] == synced_before
    assert answers[-1] == model.synced[append_id]
    assert answers == sorted(answers)


def chunk(sequence: int, learners: tuple[int, ...], form: str) -> datasets_pb2.AppendEventsRequest:
    request = datasets_pb2.AppendEventsRequest(chunk_sequence=sequence)
    if form == "rows":
        for learner in learners:
            row = request.rows.rows.add(learner_id=LEARNERS[learner], weight=0.1, domain=str(learner))
            row.time.seconds = sequence
        request.rows.SetInParent()
        return request
    request.packed.CopyFrom(
        events_pb2.PackedEvents(
            event_count=len(learners),
            learner_id_dictionary=events_pb2.DictionaryColumn(
                values=LEARNERS, indices_int32=np.array(learners, "<i4").tobytes()
            ),
            time_us=np.full(len(learners), sequence, "<i8").tobytes(),
            weight_float32=b"bad" if form == "bad" else b"",
        )
    )
    return request
