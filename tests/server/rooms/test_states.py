"""Trait states of datasets: the same answers as from the events, after appends, restarts, kills and deletions."""

from __future__ import annotations

import logging
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Any

import grpc
import numpy as np
import pytest

from covey.parameters import DEFAULT_TRAIT_WEIGHTS, TRAIT_NAMES
from covey.v1 import analyzer_pb2, analyzer_pb2_grpc, cohorts_pb2, datasets_pb2, events_pb2, traits_pb2
from covey_server.datasets import states
from covey_server.datasets.states import TraitStates

Request = datasets_pb2.AppendEventsRequest
DAY = 86_400
FORTY_YEARS_US = 40 * 365 * DAY * 1_000_000


def history(rows: Any, seed: int, learner_count: int = 12, event_count: int = 300) -> events_pb2.EventRows:
    """Learners "1", "2" ... and "ada", whose days overlap with those of other seeds."""
    choice = random.Random(seed)
    learners = [*map(str, range(1, learner_count)), "ada"]
    events = [
        (choice.choice(learners), choice.randrange(60 * DAY), f"c{choice.randrange(30)}") for _ in range(event_count)
    ]
    message: events_pb2.EventRows = rows(*events)
    for row in message.rows:
        row.weight = choice.choice([0.5, 1.0, 7.0])
        row.domain = choice.choice("pqr")
        row.kind = choice.randrange(5)
    return message


def append(stub: Any, name: str, events: events_pb2.EventRows, append_id: str) -> None:
    chunks = [Request(dataset=name, append_id=append_id), Request(chunk_sequence=1, rows=events)]
    assert list(stub.AppendEvents(iter(chunks), timeout=30))[-1].synced_chunk_sequence == 1


@pytest.fixture
def model(server: Any, rows: Any) -> cohorts_pb2.CohortModel:
    """One cohort in the middle, and a first part of the history in datasets/spring."""
    name = server.create_dataset()
    append(server.analyzer, name, history(rows, 0), "0")
    middle = cohorts_pb2.Cohort(archetype=cohorts_pb2.ARCHETYPE_GENERALIST, learner_count=12, share=1.0)
    weights = traits_pb2.TraitVector(**dict(zip(TRAIT_NAMES, DEFAULT_TRAIT_WEIGHTS, strict=True)))
    model = cohorts_pb2.CohortModel(
        name="cohortModels/m", dataset=name, engine="native", trait_weights=weights, cohorts=[middle]
    )
    server.catalogue.add_cohort_model(model)
    return model


def ask(server: Any, model: cohorts_pb2.CohortModel, learner_id: str, as_of_us: int | None = None) -> Any:
    request = analyzer_pb2.GetLearnerCohortRequest(
        learner_id=learner_id, dataset="datasets/spring", cohort_model=model.name
    )
    if as_of_us is not None:
        request.as_of.FromMicroseconds(as_of_us)
    return server.analyzer.GetLearnerCohort(request)


def check_everyone(server: Any, model: cohorts_pb2.CohortModel, engine: str = "native") -> None:
    """What every learner is told equals the analysis of the whole dataset, now and in forty years."""
    events = server.rooms.datasets.events("datasets/spring")
    for later_us in (0, FORTY_YEARS_US):
        traits = events.traits(events.newest_us + later_us, engine=engine)
        for index, learner_id in enumerate(traits.learner_ids.texts()):
            answer = ask(server, model, learner_id, events.newest_us + later_us if later_us else None)
            assert answer.traits.as_of.ToMicroseconds() == traits.as_of_us
            for name in (*TRAIT_NAMES, "momentum", "domain_entropy", "tenure_days", "recency_days", "event_count"):
                assert getattr(answer.traits, name) == pytest.approx(traits[name][index], rel=0, abs=1e-6), name
            assert answer.traits.active_days_count == traits["active_days"][index]


@pytest.fixture
def only_states(server: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Afterwards nobody may read the events of a learner."""

    def forbid() -> None:
        def read(*arguments: object) -> None:
            raise AssertionError("the events were read")

        monkeypatch.setattr(server.rooms.datasets, "learner_history", read)

    return forbid


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_appends_are_in_the_answer_without_a_look_at_the_events(
    server: Any, rows: Any, model: cohorts_pb2.CohortModel, only_states: Callable[[], None], engine: str
) -> None:
    only_states()
    check_everyone(server, model, engine)
    for seed in range(1, 5):
        append(server.analyzer, model.dataset, history(rows, seed), str(seed))
        check_everyone(server, model, engine)


def test_many_small_appends_that_are_merged(
    server: Any, rows: Any, model: cohorts_pb2.CohortModel, only_states: Callable[[], None]
) -> None:
    only_states()
    ask(server, model, "ada")
    for seed in range(70):
        append(server.analyzer, model.dataset, history(rows, seed, event_count=5), str(seed))
    assert len(server.rooms.datasets.view(model.dataset).segments) < 64
    check_everyone(server, model)


def test_a_long_catching_up_is_left_to_the_background(
    server: Any, rows: Any, model: cohorts_pb2.CohortModel, only_states: Callable[[], None], monkeypatch: Any
) -> None:
    monkeypatch.setattr(states, "_INLINE_ROWS", 100)
    monkeypatch.setattr(states, "_APPEND_ROWS", 100)
    for seed in range(1, 4):
        append(server.analyzer, model.dataset, history(rows, seed), str(seed))
        assert ask(server, model, "ada").traits.event_count > 0  # from the events: the state is not ready
        server.rooms.states.settle()
    check_everyone(server, model)
    only_states()
    check_everyone(server, model)


def test_answers_during_appends_hold_all_that_was_acknowledged(
    server: Any, rows: Any, model: cohorts_pb2.CohortModel
) -> None:
    acknowledged = start = ask(server, model, "ada").traits.event_count
    is_done = Event()
    failures: list[str] = []

    def look() -> None:
        while not is_done.is_set():
            least = acknowledged
            found = ask(server, model, "ada").traits.event_count
            if found < least:
                failures.append(f"{found} events where {least} were acknowledged")

    lookers = [Thread(target=look) for _ in range(3)]
    for looker in lookers:
        looker.start()
    for number in range(70):  # enough for files to be merged
        append(server.analyzer, model.dataset, rows(("ada", number, "c")), f"n{number}")
        acknowledged += 1
    is_done.set()
    for looker in lookers:
        looker.join()
    assert (ask(server, model, "ada").traits.event_count, failures) == (start + 70, [])
    check_everyone(server, model)


def state_files(server: Any) -> list[Path]:
    return sorted(server.directory.rglob("*.traits"))


def test_a_saved_state_goes_on_after_a_restart(
    server: Any, rows: Any, model: cohorts_pb2.CohortModel, caplog: pytest.LogCaptureFixture
) -> None:
    ask(server, model, "ada")
    for seed in range(1, 66):  # merged while a state is saved, and while none is in memory
        if seed in (30, 40):
            server.restart()
            assert len(state_files(server)) == 1
        if seed == 30:
            ask(server, model, "ada")
        append(server.analyzer, model.dataset, history(rows, seed, event_count=3), str(seed))
    server.restart()
    check_everyone(server, model)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "gone"])
def test_a_damaged_state_is_built_again_with_a_line_in_the_log(
    server: Any, rows: Any, model: cohorts_pb2.CohortModel, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    ask(server, model, "ada")
    server.stop()
    (path,) = state_files(server)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes({"flipped": bytes(data), "cut": bytes(data[:-100]), "empty": b""}[damage])
    server.start()
    append(server.analyzer, model.dataset, history(rows, 1), "1")
    check_everyone(server, model)
    assert [record for record in caplog.records if "built again from the events" in record.message]
    server.restart()
    caplog.clear()
    check_everyone(server, model)
    assert not [record for record in caplog.records if "built again" in record.message]


def test_states_beyond_the_memory_they_may_have_go_to_disk(
    server: Any, rows: Any, model: cohorts_pb2.CohortModel, only_states: Callable[[], None]
) -> None:
    only_states()
    ask(server, model, "ada")
    one = server.rooms.states.byte_count
    assert one > 0
    server.rooms.states.stop()
    smaller = TraitStates(server.store, server.rooms.datasets, int(2.5 * one))
    names = [server.create_dataset(dataset_id) for dataset_id in ("two", "three", "four")]
    for name in names:
        append(server.analyzer, name, history(rows, 0), "0")
    for name in [*names, model.dataset, *names]:
        request = analyzer_pb2.GetLearnerCohortRequest(learner_id="ada", dataset=name, cohort_model=model.name)
        before = server.analyzer.GetLearnerCohort(request)
        smaller.settle()
        assert 0 < smaller.byte_count <= 2.5 * one
        assert server.analyzer.GetLearnerCohort(request) == before
    assert len(state_files(server)) >= 2
    check_everyone(server, model)
    smaller.stop()


def test_a_state_larger_than_all_may_be_is_done_without(
    server: Any, model: cohorts_pb2.CohortModel, caplog: pytest.LogCaptureFixture
) -> None:
    server.rooms.states.stop()
    smaller = TraitStates(server.store, server.rooms.datasets, 1000)
    ask(server, model, "ada")
    smaller.settle()
    assert smaller.byte_count == 0
    assert "larger than all states may be" in caplog.text
    check_everyone(server, model)
    smaller.stop()


def test_a_forgotten_learner_is_in_no_state_and_no_file(
    server: Any, rows: Any, model: cohorts_pb2.CohortModel, only_states: Callable[[], None]
) -> None:
    append(server.analyzer, model.dataset, rows(("ada", 5, "secret"), ("1", 6, "c1")), "s")
    ask(server, model, "ada")
    server.restart()
    ask(server, model, "1")
    assert b"secret" in state_files(server)[0].read_bytes()
    server.analyzer.DeleteLearner(analyzer_pb2.DeleteLearnerRequest(learner_id="ada", request_id="d"))
    for _ in range(2):
        server.rooms.states.settle()
        for path in server.directory.rglob("*"):
            if path.suffix in (".traits", ".arrow"):
                assert b"ada" not in path.read_bytes()
                assert b"secret" not in path.read_bytes()
        with pytest.raises(grpc.RpcError) as caught:
            ask(server, model, "ada")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        server.restart()
        assert len(state_files(server)) == 1
    append(server.analyzer, model.dataset, rows(("ada", 61 * DAY, "again")), "again")
    only_states()
    assert ask(server, model, "ada").traits.event_count == 1
    check_everyone(server, model)


def test_a_deleted_dataset_takes_its_state_along(server: Any, rows: Any, model: cohorts_pb2.CohortModel) -> None:
    ask(server, model, "ada")
    server.restart()
    ask(server, model, "ada")
    server.analyzer.DeleteDataset(analyzer_pb2.DeleteDatasetRequest(name=model.dataset, request_id="d"))
    assert (state_files(server), server.rooms.states.byte_count) == ([], 0)
    create = analyzer_pb2.CreateDatasetRequest(dataset_id="spring", request_id="again")
    server.analyzer.CreateDataset(create)
    append(server.analyzer, model.dataset, rows(("ada", 5, "c")), "0")
    assert ask(server, model, "ada").traits.event_count == 1


def test_more_ids_than_one_integer_type_holds(server: Any, rows: Any, model: cohorts_pb2.CohortModel) -> None:
    for number, learner in enumerate([np.array([-7, 5], "<i8"), np.array([2**64 - 1, 5], "<u8")]):
        field = "learner_id_int64" if learner.dtype.kind == "i" else "learner_id_uint64"
        packed = events_pb2.PackedEvents(event_count=2, time_us=bytes(16), **{field: learner.tobytes()})
        chunks = [Request(dataset=model.dataset, append_id=f"n{number}"), Request(chunk_sequence=1, packed=packed)]
        list(server.analyzer.AppendEvents(iter(chunks)))
    check_everyone(server, model)


@pytest.mark.e2e
def test_a_kill_after_an_acknowledged_append_changes_no_answer(
    server: Any, rows: Any, model: cohorts_pb2.CohortModel
) -> None:
    """One state is saved; what came after it is replayed."""
    ask(server, model, "ada")
    server.stop()
    assert len(state_files(server)) == 1
    for seed in range(1, 4):
        script = Path(__file__).with_name("serve_rooms.py")
        process = subprocess.Popen(
            [sys.executable, str(script), str(server.directory)], stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            with grpc.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}") as channel:
                stub = analyzer_pb2_grpc.AnalyzerServiceStub(channel)
                request = analyzer_pb2.GetLearnerCohortRequest(
                    learner_id="ada", dataset=model.dataset, cohort_model=model.name
                )
                if seed != 2:
                    stub.GetLearnerCohort(request)
                append(stub, model.dataset, history(rows, seed), str(seed))
                process.kill()
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
    server.start()
    check_everyone(server, model)
    assert server.rooms.states.byte_count > 0
