"""Studies of a dataset over the wire: the library's answer, one at a time, refused with a reason."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
from waiting import wait_until

from covey import Events
from covey.evolve import instants_between, snapshots, transitions
from covey.retention import GroupBy, measure, parse_intervals
from covey.v1 import (
    analyzer_pb2,
    datasets_pb2,
    events_pb2,
    evolution_pb2,
    evolution_pb2_grpc,
    retention_pb2,
    retention_pb2_grpc,
)
from covey_server.studies.desk import StudyDesk

from .running import ServedHere

DAY_US = 86_400_000_000
START_US = 1_767_571_200_000_000
NAME = "datasets/course"


class Course:
    """A served dataset, and the same events in memory."""

    def __init__(self, server: ServedHere) -> None:
        random = np.random.default_rng(1)
        learner = np.repeat(np.arange(200), 40)
        time = START_US + random.integers(0, 5, 200)[learner] * DAY_US + random.integers(0, 60 * DAY_US, len(learner))
        topic = random.integers(0, 6, len(learner))
        self.events = Events.from_numpy(
            learner, time, [f"t{t}" for t in topic], [f"t{t}" for t in topic], time_unit="us"
        )
        names = events_pb2.DictionaryColumn(
            values=[f"t{t}" for t in range(6)], indices_uint8=topic.astype("u1").tobytes()
        )
        packed = events_pb2.PackedEvents(
            event_count=len(learner),
            learner_id_int64=learner.astype("<i8").tobytes(),
            time_us=time.astype("<i8").tobytes(),
            domain=names,
            capability=names,
        )
        server.analyzer.CreateDataset(analyzer_pb2.CreateDatasetRequest(dataset_id="course", request_id="c"))
        first = datasets_pb2.AppendEventsRequest(dataset=NAME, append_id="a")
        chunk = datasets_pb2.AppendEventsRequest(chunk_sequence=1, packed=packed)
        assert list(server.analyzer.AppendEvents(iter([first, chunk]), timeout=30))[-1].synced_chunk_sequence == 1
        self.retention = retention_pb2_grpc.RetentionServiceStub(server.data_channel)
        self.evolution = evolution_pb2_grpc.EvolutionServiceStub(server.data_channel)


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Any:
    server = ServedHere(data_directory=tmp_path_factory.mktemp("studies") / "data")
    yield Course(server)
    server.stop()


def test_retention_is_what_the_library_says(course: Course) -> None:
    request = retention_pb2.GetRetentionRequest(dataset=NAME, away_after_days=7)
    request.intervals.add(first_day=7, last_day=13)
    request.intervals.add(first_day=28)
    answer = course.retention.GetRetention(request, timeout=240)
    found = measure(course.events, parse_intervals("7-13,28+"), GroupBy.start, away_after_days=7)
    for row, own in zip((*found.table.rows, found.table.total), (*answer.groups, answer.total), strict=True):
        assert (own.group, own.learner_count) == (row.group, row.learner_count)
        for cell, sent in zip(row.cells, own.cells, strict=True):
            assert (sent.eligible_count, sent.retained_count) == (cell.eligible_count, cell.retained_count)
            assert sent.HasField("share") == (cell.share is not None)
            assert (sent.low, sent.high) == (cell.low, cell.high)
    assert not answer.total.cells[1].interval.HasField("last_day")
    assert found.curves is not None
    assert [step.survival for step in answer.curves[-1].steps] == found.curves.total.curve.survival.tolist()


def test_evolution_is_what_the_library_says(course: Course) -> None:
    request = evolution_pb2.GetEvolutionRequest(dataset=NAME, every_days=7, cohort_count=2, schedule_periods=[1, 2])
    answer = course.evolution.GetEvolution(request, timeout=240)
    instants = instants_between(int(course.events.time_us.min()), course.events.newest_us, 7)
    found = snapshots(course.events, instants, k=2)
    moves = transitions(found)
    assert list(answer.states) == list(found.state_names)
    sent = {(own.from_state, own.to_state): own for own in answer.transitions}
    for row, before in enumerate(moves.names):
        for column, after in enumerate(moves.names):
            assert sent[before, after].move_count == moves.counts[row, column]
            assert sent[before, after].low == pytest.approx(moves.low[row, column])
    for own, item in zip(answer.snapshots, found.items, strict=True):
        assert sum(own.learner_counts) + own.not_there_yet_count == 200
        assert own.as_of.ToMicroseconds() == item.as_of_us
    assert [own.is_cheapest for own in answer.schedules].count(True) == 1


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"dataset": "datasets/none"}, grpc.StatusCode.NOT_FOUND, "does not exist"),
        ({"confidence": 2.0}, grpc.StatusCode.INVALID_ARGUMENT, "confidence: 2 is not 0.5 to 0.999"),
        ({"seed": -1}, grpc.StatusCode.INVALID_ARGUMENT, "seed: -1 is below 0"),
        ({"grouping": 77}, grpc.StatusCode.INVALID_ARGUMENT, "grouping: 77 is no grouping"),
        ({"away_after_days": 400}, grpc.StatusCode.INVALID_ARGUMENT, "a silence of 400 days cannot be told"),
        ({"intervals": [{"first_day": 0}]}, grpc.StatusCode.INVALID_ARGUMENT, "days are from 1 on"),
        (
            {"intervals": [{"first_day": 300}]},
            grpc.StatusCode.INVALID_ARGUMENT,
            "no learner has completed interval 300+",
        ),
    ],
)
def test_refusals_say_why(course: Course, fields: dict[str, Any], code: grpc.StatusCode, words: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        course.retention.GetRetention(retention_pb2.GetRetentionRequest(**({"dataset": NAME} | fields)), timeout=240)
    assert refused.value.code() is code
    assert words in refused.value.details()


def test_an_empty_dataset_and_an_evolution_of_one_instant(course: Course, server: ServedHere) -> None:
    server.analyzer.CreateDataset(analyzer_pb2.CreateDatasetRequest(dataset_id="empty", request_id="e"))
    stub = retention_pb2_grpc.RetentionServiceStub(server.data_channel)
    with pytest.raises(grpc.RpcError) as refused:
        stub.GetRetention(retention_pb2.GetRetentionRequest(dataset="datasets/empty"), timeout=240)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    with pytest.raises(grpc.RpcError) as refused:
        course.evolution.GetEvolution(evolution_pb2.GetEvolutionRequest(dataset=NAME, every_days=400), timeout=240)
    assert "a snapshot every 400 days gives 1" in refused.value.details()


class _Waiting:
    """A study's process that answers when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_at_work, self.may_end = threading.Event(), threading.Event()
        run: Callable[..., bytes] = StudyDesk._run

        def held(desk: StudyDesk, order: dict[str, object], context: Any) -> bytes:
            self.is_at_work.set()
            assert self.may_end.wait(60)
            return run(desk, order, context)

        monkeypatch.setattr(StudyDesk, "_run", held)


def test_studies_run_one_at_a_time(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    held = _Waiting(monkeypatch)
    first = course.retention.GetRetention.future(retention_pb2.GetRetentionRequest(dataset=NAME), timeout=240)
    assert held.is_at_work.wait(30)
    with pytest.raises(grpc.RpcError) as refused:
        course.evolution.GetEvolution(evolution_pb2.GetEvolutionRequest(dataset=NAME), timeout=30)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "another study of a dataset is at work" in refused.value.details()
    held.may_end.set()
    assert first.result().total.learner_count == 200


def test_files_that_are_replaced_stay_until_a_study_has_read_them(
    start_server: Callable[..., ServedHere], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came in bulk is put in order in the background: another file takes its place as the study begins."""
    server = start_server()
    own = Course(server)
    run: Callable[..., bytes] = StudyDesk._run
    folder = server.room.config.data_directory / NAME
    counts: list[int] = []

    def replaced(desk: StudyDesk, order: dict[str, object], context: Any) -> bytes:
        server.analyzer.DeleteLearner(analyzer_pb2.DeleteLearnerRequest(learner_id="7", request_id="d"), timeout=60)
        counts.append(len(list(folder.glob("*.arrow"))))
        return run(desk, order, context)

    monkeypatch.setattr(StudyDesk, "_run", replaced)
    answer = own.retention.GetRetention(retention_pb2.GetRetentionRequest(dataset=NAME), timeout=240)
    assert answer.total.learner_count == 200
    monkeypatch.undo()
    assert counts == [2] and len(list(folder.glob("*.arrow"))) == 1  # what nobody reads any more is gone
    answer = own.retention.GetRetention(retention_pb2.GetRetentionRequest(dataset=NAME), timeout=240)
    assert answer.total.learner_count == 199


def test_a_study_ends_with_its_call(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    held = _Waiting(monkeypatch)
    call = course.retention.GetRetention.future(retention_pb2.GetRetentionRequest(dataset=NAME), timeout=240)
    assert held.is_at_work.wait(30)
    call.cancel()
    held.may_end.set()
    monkeypatch.undo()

    def is_free() -> bool:
        try:
            course.retention.GetRetention(retention_pb2.GetRetentionRequest(dataset=NAME), timeout=240)
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            return False
        return True

    wait_until(is_free, 60)
