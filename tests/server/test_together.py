"""Neighbours and groups over the wire: the library's answer, floors that callers cannot lower, learners forgotten."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
import pytest
from waiting import PATIENCE_SECONDS, wait_until

from covey import Events
from covey.together import Compose, Friends, Space, Wanted, find_similar, form_groups
from covey.v1 import analyzer_pb2, datasets_pb2, events_pb2, together_pb2, together_pb2_grpc
from covey_server.datasets.view import DatasetView
from covey_server.studies import neighbours

from .running import ServedHere

NAME = "datasets/course"
DAY_US = 86_400_000_000
START_US = 1_767_571_200_000_000


def history(learners: np.ndarray, seed: int) -> tuple[Events, events_pb2.PackedEvents]:
    random = np.random.default_rng(seed)
    learner = np.repeat(learners, random.integers(1, 40, len(learners)))
    time = np.sort(START_US + random.integers(0, 60 * DAY_US, len(learner)))
    topic = random.integers(0, 1 + learner % 7)
    texts = [f"t{own}" for own in topic]
    names = events_pb2.DictionaryColumn(
        values=[f"t{at}" for at in range(8)], indices_uint8=topic.astype("u1").tobytes()
    )
    packed = events_pb2.PackedEvents(
        event_count=len(learner),
        learner_id_int64=learner.astype("<i8").tobytes(),
        time_us=time.astype("<i8").tobytes(),
        domain=names,
        capability=names,
    )
    return Events.from_numpy(learner, time, texts, texts, time_unit="us"), packed


def append(server: ServedHere, append_id: str, packed: events_pb2.PackedEvents, name: str = NAME) -> None:
    first = datasets_pb2.AppendEventsRequest(dataset=name, append_id=append_id)
    chunk = datasets_pb2.AppendEventsRequest(chunk_sequence=1, packed=packed)
    assert (
        list(server.analyzer.AppendEvents(iter([first, chunk]), timeout=PATIENCE_SECONDS))[-1].synced_chunk_sequence
        == 1
    )


class Course:
    def __init__(self, server: ServedHere) -> None:
        self.server = server
        server.analyzer.CreateDataset(analyzer_pb2.CreateDatasetRequest(dataset_id="course", request_id="c"))
        self.events, packed = history(np.arange(300), 1)
        append(server, "a", packed)
        job = server.analyzer.DiscoverCohorts(
            analyzer_pb2.DiscoverCohortsRequest(
                spec=datasets_pb2.DiscoverySpec(dataset=NAME, cohort_count=3), request_id="d"
            ),
            timeout=PATIENCE_SECONDS,
        )

        def found() -> str:
            own = server.analyzer.GetJob(analyzer_pb2.GetJobRequest(name=job.name), timeout=PATIENCE_SECONDS)
            return str(own.cohort_model)

        wait_until(lambda: bool(found()))
        self.model = found()
        self.stub = together_pb2_grpc.TogetherServiceStub(server.data_channel)

    def similar(self, **fields: Any) -> together_pb2.FindSimilarLearnersResponse:
        request = together_pb2.FindSimilarLearnersRequest(**({"dataset": NAME, "learner_id": "7"} | fields))

        def answered() -> together_pb2.FindSimilarLearnersResponse | None:
            try:
                own: together_pb2.FindSimilarLearnersResponse = self.stub.FindSimilarLearners(
                    request, timeout=PATIENCE_SECONDS
                )
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:  # which it is until traits have been read
                    raise
                return None
            return own

        answer = wait_until(answered)
        assert answer is not None
        return answer


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Course]:
    server = ServedHere(data_directory=tmp_path_factory.mktemp("together") / "data")
    yield Course(server)
    server.stop()


def test_neighbours_are_what_the_library_says(course: Course) -> None:
    answer = course.similar(count=12)
    found = find_similar(Space.of(course.events.traits()), ["7"], 12)
    assert [int(own.learner_id) for own in answer.learners] == found.neighbours[0].tolist()
    np.testing.assert_allclose([own.distance for own in answer.learners], found.distances[0], atol=1e-6)
    assert (answer.learner_count, answer.floor_count, answer.cohort_model) == (300, 10, "")
    assert answer.as_of.ToMicroseconds() == course.events.newest_us


def test_neighbours_of_the_same_cohort(course: Course) -> None:
    model = course.server.analyzer.GetCohortModel(
        analyzer_pb2.GetCohortModelRequest(name=course.model), timeout=PATIENCE_SECONDS
    )
    cohorts = course.events.traits().discover(3)
    answer = course.similar(cohort_model=course.model, same_cohort=True, count=20)
    labels = {cohorts.labels[int(own.learner_id)] for own in answer.learners}
    assert labels == {cohorts.labels[7]} == {own.cohort for own in answer.learners}
    assert {own.archetype for own in answer.learners} == {model.cohorts[cohorts.labels[7]].archetype}
    other = course.similar(cohort_model=course.model, cohort=int(cohorts.labels[7] + 1) % 3, count=3)
    assert {own.cohort for own in other.learners} == {int(cohorts.labels[7] + 1) % 3}


def test_points_of_one_dataset_are_made_while_another_is_asked(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks of a large dataset for the first time holds nobody up but those who ask of it, too."""
    other = "datasets/other"
    course.server.analyzer.CreateDataset(analyzer_pb2.CreateDatasetRequest(dataset_id="other", request_id="o"))
    append(course.server, "o", history(np.arange(40), 3)[1], other)
    assert course.similar(dataset=other).learner_count == 40  # its traits are there
    append(course.server, "p", history(np.arange(40, 90), 4)[1], other)
    at_work, go_on = threading.Event(), threading.Event()
    made = neighbours.Neighbourhoods._made

    def slowly(own: neighbours.Neighbourhoods, view: DatasetView, *arguments: Any) -> Any:
        if view.name == other:
            at_work.set()
            assert go_on.wait(2 * PATIENCE_SECONDS)
        return made(own, view, *arguments)

    monkeypatch.setattr(neighbours.Neighbourhoods, "_made", slowly)
    monkeypatch.setattr(neighbours, "REFRESH_SECONDS", 0.0)
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(course.similar, dataset=other) for _ in range(2)]
        try:
            assert at_work.wait(PATIENCE_SECONDS)
            assert course.similar().learner_count == 300
            assert not any(one.done() for one in asked)
        finally:
            go_on.set()
        assert [one.result().learner_count for one in asked] == [90, 90]


def test_the_floor_can_be_raised_and_not_lowered(course: Course) -> None:
    near = course.similar(max_distance=1e-4, floor_count=1)
    assert near.is_withheld and not near.learners and near.floor_count == 10
    assert course.similar(floor_count=299).learners
    assert course.similar(floor_count=300).is_withheld


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"dataset": "datasets/none"}, grpc.StatusCode.NOT_FOUND, "does not exist"),
        ({"learner_id": "nobody"}, grpc.StatusCode.NOT_FOUND, "no events of learner 'nobody'"),
        ({"learner_id": ""}, grpc.StatusCode.INVALID_ARGUMENT, "learner_id"),
        ({"count": -1}, grpc.StatusCode.INVALID_ARGUMENT, "count: -1 is not 1 to 1000"),
        ({"max_distance": 2.0}, grpc.StatusCode.INVALID_ARGUMENT, "max_distance: 2 is not 0 (any) to 1"),
        ({"archetype": 77, "cohort_model": "x"}, grpc.StatusCode.INVALID_ARGUMENT, "cohort_model"),
        ({"cohort_model": "cohortModels/none"}, grpc.StatusCode.NOT_FOUND, "cohortModels/none"),
        ({"same_cohort": True}, grpc.StatusCode.FAILED_PRECONDITION, "the stable variant has no cohort model"),
    ],
)
def test_refusals_say_why(course: Course, fields: dict[str, Any], code: grpc.StatusCode, words: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        course.similar(**fields)
    assert refused.value.code() is code
    assert words in refused.value.details()


def test_groups_are_what_the_library_says(course: Course) -> None:
    towns = [
        together_pb2.LearnerAttributes(learner_id=str(at), values={"town": "Bonn" if at % 3 else "Ulm"})
        for at in range(300)
    ]
    friends = [together_pb2.Friendship(learner_id=str(at), other_learner_id=str(at + 3)) for at in range(0, 90, 9)]
    request = together_pb2.FormGroupsRequest(
        dataset=NAME, same=["town"], attributes=towns, friendships=friends, keep_friends=True, cohort_count=2,
        composition=together_pb2.FormGroupsRequest.COMPOSITION_MIXED,
    )  # fmt: skip
    answer = course.stub.FormGroups(request, timeout=2 * PATIENCE_SECONDS)
    table = pa.table({"id": range(300), "town": ["Bonn" if at % 3 else "Ulm" for at in range(300)]})
    space = Space.of(course.events.traits().discover(2)).with_attributes(table, "id", ["town"])
    pairs = np.array([[at, at + 3] for at in range(0, 90, 9)])
    wanted = Wanted(compose=Compose.mixed, same=("town",), friends=Friends.keep)
    found = form_groups(space, wanted, pairs)
    assert [sorted(map(int, own.learner_ids)) for own in answer.groups] == [
        np.flatnonzero(found.labels == at).tolist() for at in range(len(found))
    ]
    assert [own.shares for own in answer.groups] == list(found.pools)
    assert answer.spread.value == pytest.approx(found.quality.spread.value)
    assert answer.friendships.value == 1.0 and not answer.spread.HasField("bound")
    assert (answer.placed_count, answer.learner_count) == (300, 300)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"smallest_count": 200, "largest_count": 250}, "are too few for 2 of at least 200"),
        ({"composition": 9}, "composition: 9 is no composition"),
        ({"friend_weight": -1.0}, "friend_weight: -1 is not 0 or more"),
        ({"same": ["town"]}, "no learner of `attributes` has a value of 'town'"),
        ({"largest_count": 5_000}, "groups of 15 to 5000; expected 2 to 1,000 learners"),
        ({"group_limit": 2}, "at most 2 groups are allowed"),
    ],
)
def test_groups_that_cannot_be_are_refused(course: Course, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        course.stub.FormGroups(together_pb2.FormGroupsRequest(dataset=NAME, **fields), timeout=2 * PATIENCE_SECONDS)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert words in refused.value.details()


def test_the_forgotten_are_gone_at_once_and_newcomers_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ServedHere(data_directory=tmp_path / "data")
    try:
        course = Course(server)
        first = course.similar(count=20)
        gone = first.learners[0].learner_id
        server.analyzer.DeleteLearner(
            analyzer_pb2.DeleteLearnerRequest(learner_id=gone, request_id="x"), timeout=PATIENCE_SECONDS
        )
        answer = course.similar(count=20)
        assert gone not in {own.learner_id for own in answer.learners} and answer.learner_count == 299
        append(server, "b", history(np.arange(1000, 1040), 2)[1])
        monkeypatch.setattr(neighbours, "REFRESH_SECONDS", 1e9)
        assert course.similar().learner_count == 299
        monkeypatch.setattr(neighbours, "REFRESH_SECONDS", 0.0)
        assert course.similar().learner_count == 339
    finally:
        server.stop()
