"""A learner of a dataset: their cohort, and how they are forgotten."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import grpc
import numpy as np
import pytest

from covey.v1 import analyzer_pb2, cohorts_pb2, datasets_pb2, events_pb2, outcomes_pb2, variants_pb2
from covey_server.datasets.learners import ENGINES_KEPT
from covey_server.split import Split

Request = datasets_pb2.AppendEventsRequest
DAY = 86_400


def append(server: Any, name: str, rows: events_pb2.EventRows, append_id: str = "a") -> None:
    chunks = [Request(dataset=name, append_id=append_id), Request(chunk_sequence=1, rows=rows)]
    assert list(server.analyzer.AppendEvents(iter(chunks), timeout=20))[-1].synced_chunk_sequence == 1


def school(rows: Any) -> events_pb2.EventRows:
    """Two kinds of learners: s0..s9 repeat one thing daily, e0..e9 try something new daily."""
    steady = [(f"s{learner}", day * DAY + learner, "loops") for learner in range(10) for day in range(1, 29)]
    eager = [(f"e{learner}", day * DAY + learner, f"c{day}") for learner in range(10) for day in range(20, 29)]
    message: events_pb2.EventRows = rows(*steady, *eager)
    return message


@pytest.fixture
def model(server: Any, rows: Any, request: pytest.FixtureRequest) -> cohorts_pb2.CohortModel:
    """Of two halves of a school in one file each, by the reference engine unless the test names another."""
    name = server.create_dataset()
    events = school(rows)
    append(server, name, events_pb2.EventRows(rows=events.rows[::2]))
    append(server, name, events_pb2.EventRows(rows=events.rows[1::2]), "b")
    variant = f"variants/{getattr(request, 'param', 'reference')}"
    spec = datasets_pb2.DiscoverySpec(dataset=name, variant=variant, cohort_count=2)
    discovery = analyzer_pb2.DiscoverCohortsRequest(spec=spec, request_id="r")
    watch = analyzer_pb2.WatchJobRequest(name=server.analyzer.DiscoverCohorts(discovery).name)
    job = list(server.analyzer.WatchJob(watch, timeout=60))[-1]
    found: cohorts_pb2.CohortModel = server.catalogue.cohort_model(job.cohort_model)
    return found


def failure(call: Any, request: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(request)
    return caught.value.code(), caught.value.details()


@pytest.mark.parametrize("model", ["reference", "native"], indirect=True)
def test_every_learner_is_in_the_cohort_that_discovery_found(server: Any, model: cohorts_pb2.CohortModel) -> None:
    cohorts = server.rooms.datasets.events(model.dataset).traits(engine=model.engine).discover(k=2)
    for index, label in enumerate(cohorts.labels.tolist()):
        learner_id = cohorts.traits.learner_ids.text(index)
        request = analyzer_pb2.GetLearnerCohortRequest(
            learner_id=learner_id, dataset=model.dataset, cohort_model=model.name
        )
        answer = server.analyzer.GetLearnerCohort(request)
        assert answer.cohort == model.cohorts[label]
        assert answer.cohort_model == model.name
        assert answer.traits.as_of == model.as_of
        assert np.float32(answer.traits.learning_velocity) == cohorts.traits["learning_velocity"][index]


def test_the_stable_variants_model_is_the_default(server: Any, model: cohorts_pb2.CohortModel) -> None:
    request = analyzer_pb2.GetLearnerCohortRequest(learner_id="e1", dataset=model.dataset)
    code, details = failure(server.analyzer.GetLearnerCohort, request)
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "variants/reference has no cohort model" in details
    assert "ListCohortModels" in details
    variant = variants_pb2.Variant(engine="reference", cohort_model=model.name)
    create = analyzer_pb2.CreateVariantRequest(variant_id="with-model", variant=variant, request_id="v")
    server.analyzer.CreateVariant(create)
    with server.store.write() as connection:
        server.catalogue.set_stable(connection, "variants/with-model")
    assert server.analyzer.GetLearnerCohort(request).cohort_model == model.name


def test_as_of_is_an_instant_from_the_newest_event_on(server: Any, model: cohorts_pb2.CohortModel) -> None:
    request = analyzer_pb2.GetLearnerCohortRequest(learner_id="e1", dataset=model.dataset, cohort_model=model.name)
    request.as_of.seconds = 35 * DAY
    answer = server.analyzer.GetLearnerCohort(request)
    assert (answer.traits.event_count, answer.traits.ignored_event_count) == (9, 0)
    assert int(answer.traits.recency_days) == 6
    request.as_of.seconds = 28 * DAY
    code, details = failure(server.analyzer.GetLearnerCohort, request)
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "analyse the dataset instead: AnalyzeLearner or DiscoverCohorts" in details


def test_what_is_not_there(server: Any, model: cohorts_pb2.CohortModel) -> None:
    given = {"learner_id": "e1", "dataset": model.dataset, "cohort_model": model.name}
    for fields, code in (
        ({"learner_id": "nobody"}, grpc.StatusCode.NOT_FOUND),
        ({"dataset": "datasets/none"}, grpc.StatusCode.NOT_FOUND),
        ({"cohort_model": "cohortModels/none"}, grpc.StatusCode.NOT_FOUND),
        ({"learner_id": ""}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"learner_id": "x" * 257}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"dataset": "spring"}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"cohort_model": "x"}, grpc.StatusCode.INVALID_ARGUMENT),
    ):
        request = analyzer_pb2.GetLearnerCohortRequest(**{**given, **fields})
        assert failure(server.analyzer.GetLearnerCohort, request)[0] is code, fields


def test_a_deleted_learner_is_gone_everywhere_and_for_good(server: Any, rows: Any, clock: Any) -> None:
    names = [server.create_dataset(dataset_id) for dataset_id in ("one", "two")]
    append(server, names[0], rows(("ada", 1, "x"), ("bob", 2, "y"), ("ada", 3, "secret")))
    append(server, names[0], rows(("ada", 4, "z")), "b")
    append(server, names[1], rows(("bob", 5, "x")))
    split = Split("rollouts/r", "uid", "canary", "variants/reference", "variants/native", 100, clock.now, 0, (), 100.0)
    for learner_id in ("ada", "bob"):
        server.ledger.record(split, learner_id, "variants/native", "eu", clock.now)
        outcome = outcomes_pb2.Outcome(learner_id=learner_id, metric="revenue", value=2)
        outcome.time.FromDatetime(clock.now)
        request = outcomes_pb2.ReportOutcomesRequest(outcomes=[outcome, outcome], request_id=learner_id)
        assert server.outcome.ReportOutcomes(request).credited_count == 2

    request = analyzer_pb2.DeleteLearnerRequest(learner_id="ada", request_id="d")
    expected = analyzer_pb2.DeleteLearnerResponse(event_count=3, exposure_count=1, outcome_count=2)
    assert server.analyzer.DeleteLearner(request) == expected
    assert server.analyzer.DeleteLearner(request) == expected
    nothing = analyzer_pb2.DeleteLearnerRequest(learner_id="ada", request_id="again")
    assert server.analyzer.DeleteLearner(nothing) == analyzer_pb2.DeleteLearnerResponse()

    for _ in range(2):
        assert [server.rooms.datasets.view(name).event_count for name in names] == [1, 1]
        assert server.rooms.datasets.learner_events(names[0], "bob").row_count == 1
        with pytest.raises(Exception, match="holds no events of learner 'ada'"):
            server.rooms.datasets.learner_events(names[0], "ada")
        assert server.ledger.counts("rollouts/r", "canary") == {("variants/native", "eu"): 1}
        moments = server.outcomes.moments(split, datetime(2030, 1, 1, tzinfo=UTC))
        assert {(row.learner_count, row.sum) for row in moments if row.variant == "variants/native"} == {(1, 4.0)}
        server.restart()

    for path in server.directory.rglob("*"):
        if path.is_file() and path.suffix == ".arrow":
            data = path.read_bytes()
            assert b"ada" not in data
            assert b"secret" not in data
    # Its append has not gone backwards: what was acknowledged stays acknowledged.
    answers = server.analyzer.AppendEvents(iter([Request(dataset=names[0], append_id="b")]))
    assert next(answers).synced_chunk_sequence == 1


def test_deleting_an_integer_learner_keeps_the_others_exact(server: Any) -> None:
    name = server.create_dataset()
    ids = np.array([2**53 + 1, 2**53 + 2, 2**53 + 1, -7], "<i8")
    packed = events_pb2.PackedEvents(event_count=4, learner_id_int64=ids.tobytes(), time_us=bytes(32))
    chunks = [Request(dataset=name, append_id="a"), Request(chunk_sequence=1, packed=packed)]
    list(server.analyzer.AppendEvents(iter(chunks)))
    request = analyzer_pb2.DeleteLearnerRequest(learner_id=str(2**53 + 1), request_id="d")
    assert server.analyzer.DeleteLearner(request).event_count == 2
    assert server.rooms.datasets.events(name).learner_ids.texts() == ["-7", str(2**53 + 2)]


def test_a_deletion_that_cannot_be_written_removes_nothing(server: Any, rows: Any) -> None:
    name = server.create_dataset()
    append(server, name, rows(("ada", DAY, "loops"), ("bob", DAY, "loops")))
    assert server.rooms.datasets.learner_events(name, "ada").row_count == 1
    folder = server.rooms.datasets.folder(name)
    away = folder.rename(folder.with_name("away"))
    request = analyzer_pb2.DeleteLearnerRequest(learner_id="ada", request_id="delete")
    code, message = failure(server.analyzer.DeleteLearner, request)
    assert code is grpc.StatusCode.UNAVAILABLE
    assert "nothing was removed" in message
    assert server.rooms.datasets.learner_events(name, "ada").row_count == 1
    away.rename(folder)
    assert server.analyzer.DeleteLearner(request).event_count == 1
    assert [path.suffix for path in folder.iterdir()] == [".arrow"]


@pytest.mark.parametrize("is_noticed", [True, False])
def test_a_data_set_that_is_deleted_meanwhile_is_no_damage(
    server: Any, rows: Any, monkeypatch: pytest.MonkeyPatch, is_noticed: bool
) -> None:
    """The second is the twin: whoever does not look again takes files that went with their data set for lost."""
    names = [server.create_dataset(dataset_id) for dataset_id in ("one", "two")]
    for name in names:
        append(server, name, rows(("ada", DAY, "loops"), ("bob", DAY, "loops")))
    seen = server.rooms.datasets.views()
    server.analyzer.DeleteDataset(analyzer_pb2.DeleteDatasetRequest(name=names[0], request_id="delete"))
    monkeypatch.setattr(server.rooms.datasets, "views", lambda: seen)
    if not is_noticed:
        monkeypatch.setattr(server.rooms.datasets, "has", lambda _view: True)
    request = analyzer_pb2.DeleteLearnerRequest(learner_id="ada", request_id="forget")
    if is_noticed:
        assert server.analyzer.DeleteLearner(request).event_count == 1
        assert server.rooms.datasets.view(names[1]).event_count == 1
    else:
        refused = {grpc.StatusCode.DATA_LOSS, grpc.StatusCode.UNAVAILABLE}  # the file was not read yet, or it was
        assert failure(server.analyzer.DeleteLearner, request)[0] in refused


def test_engines_of_models_that_come_and_go_are_not_kept_for_ever(
    server: Any, model: cohorts_pb2.CohortModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    learners = server.rooms.learners
    monkeypatch.setattr(server.catalogue, "cohort_model", lambda _name: model)
    engines = [learners._engine(f"cohortModels/m{number}") for number in range(3 * ENGINES_KEPT)]
    assert len(learners._engines) == ENGINES_KEPT
    assert learners._engine(f"cohortModels/m{3 * ENGINES_KEPT - 1}") is engines[-1]
