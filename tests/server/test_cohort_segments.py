"""Segments by the stable variant's cohorts: fixed at the first exposure, whatever callers name and the rollout does."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import grpc
import pytest

from covey.v1 import analyzer_pb2, datasets_pb2, events_pb2, rollout_spec_pb2, rollouts_pb2
from covey_server.split import Split

from .cohort_world import BUSY, IDLE, STEADY, busy, days, idle, make_stable, make_variant, model
from .rollout_rooms import Caller, Refusal, Rooms, refusal
from .running import NATIVE, ServedHere, question

Answer = analyzer_pb2.AnalyzeLearnerResponse
Ask = Callable[[ServedHere, Sequence[analyzer_pb2.AnalyzeLearnerRequest]], list[Answer]]


def one_by_one(server: ServedHere, requests: Sequence[analyzer_pb2.AnalyzeLearnerRequest]) -> list[Answer]:
    return [server.analyzer.AnalyzeLearner(request, timeout=30) for request in requests]


def in_one_message(server: ServedHere, requests: Sequence[analyzer_pb2.AnalyzeLearnerRequest]) -> list[Answer]:
    message = analyzer_pb2.AnalyzeLearnersRequest(requests=requests)
    (answer,) = server.analyzer.AnalyzeLearners(iter([message]), timeout=60)
    return [result.response for result in answer.results]


@pytest.fixture(params=[one_by_one, in_one_message])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Each of the two ways to ask."""
    found: Ask = request.param
    return found


def split(server: ServedHere, weight_bp: int = 5_000, **changes: Any) -> Split:
    return server.split(weight_bp, **({"baseline": STEADY, "segments_by_cohort": True} | changes))


def learners(server: ServedHere) -> dict[str, float]:
    """Distinct learners by segment, of both variants."""
    found: dict[str, float] = {}
    for labels, count in server.samples("covey_learners").items():
        segment = dict(labels)["segment"]
        found[segment] = found.get(segment, 0) + count
    return {segment: count for segment, count in found.items() if count}


def rows(history: events_pb2.PackedEvents) -> events_pb2.EventRows:
    """The same history, readable: no plain question."""
    found = events_pb2.EventRows()
    for offset in range(0, len(history.time_us), 8):
        row = found.rows.add(domain="d", capability="d")
        row.time.FromMicroseconds(int.from_bytes(history.time_us[offset : offset + 8], "little"))
    return found


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize("form", ["packed", "rows"])
def test_a_learner_belongs_to_the_cohort_of_the_stable_variant(
    server: ServedHere, ask: Ask, engine: str, form: str
) -> None:
    make_stable(server, engine)
    split(server)
    histories = [busy() if number % 4 == 0 else idle() for number in range(40)]
    requests = [
        question(str(number), segment="mine", **{form: history if form == "packed" else rows(history)})
        for number, history in enumerate(histories)
    ]
    answers = ask(server, requests)
    assert {answer.variant for answer in answers} == {STEADY, NATIVE}
    assert learners(server) == {IDLE: 30, BUSY: 10}, "what the caller names plays no part"


def test_the_candidates_cohorts_play_no_part(server: ServedHere, ask: Ask) -> None:
    make_stable(server)
    server.room.catalogue.add_cohort_model(model("cohortModels/turned", (0.9, 0.05)))
    make_variant(server, "turned", "native", "cohortModels/turned")
    split(server, 10_000, candidate="variants/turned")
    answers = ask(server, [question("ada", packed=busy()), question("bob", packed=idle())])
    assert [answer.cohort.index for answer in answers] == [0, 1]
    assert learners(server) == {BUSY: 1, IDLE: 1}


def test_it_never_moves_not_even_in_a_later_phase(server: ServedHere, ask: Ask) -> None:
    make_stable(server)
    split(server, 10_000)
    ask(server, [question("ada", packed=idle()), question("bob", packed=busy()), question("cem", packed=busy())])
    for phase in ("canary", "ramp"):
        split(server, 10_000, phase=phase)
        changed = [question("ada", packed=busy()), question("bob", packed=idle()), question("cem", packed=idle())]
        for request, answer in zip(changed, ask(server, changed), strict=True):
            assert answer.traits.active_days_count == (28 if request.learner_id == "ada" else 1)
        assert learners(server) == {IDLE: 1, BUSY: 2}
    ask(server, [question("ada", packed=busy()), question("dan", packed=busy())])
    assert learners(server) == {IDLE: 1, BUSY: 3}
    split(server, 10_000, uid="another rollout", rollout="rollouts/another")
    ask(server, [question("ada", packed=busy())])
    assert learners(server) == {BUSY: 1}, "every rollout freezes its own"


def test_a_restart_remembers_also_where_every_window_has_closed(
    start_server: Callable[..., ServedHere], ask: Ask, tmp_path: Any
) -> None:
    first = start_server(data_directory=tmp_path / "kept")
    make_stable(first)
    split(first, 10_000, outcome_window_seconds=0.001)
    ask(first, [question("ada", packed=idle())])
    split(first, 10_000, outcome_window_seconds=0.001, excluded_segments=frozenset({BUSY}))
    ask(first, [question("bob", packed=busy())])
    first.stop()
    time.sleep(0.01)  # the window is over
    again = start_server(data_directory=tmp_path / "kept")
    assert not again.room.ledger.loaded_phases()
    split(again, 10_000, phase="ramp", excluded_segments=frozenset({BUSY}))
    answers = ask(again, [question("ada", packed=busy()), question("bob", packed=idle())])
    assert [answer.variant for answer in answers] == [NATIVE, STEADY]
    assert learners(again) == {IDLE: 1}


def test_an_excluded_cohort_gets_the_baseline(server: ServedHere, ask: Ask) -> None:
    make_stable(server)
    split(server, 10_000)
    ask(server, [question("ada", packed=idle()), question("bob", packed=busy())])
    split(server, 10_000, excluded_segments=frozenset({BUSY}))
    answers = ask(
        server,
        [
            question("ada", packed=busy()),
            question("bob", packed=idle()),
            question("new idle", packed=idle()),
            question("new busy", packed=busy(), segment=IDLE),
        ],
    )
    assert [answer.variant for answer in answers] == [NATIVE, STEADY, NATIVE, STEADY]
    assert [bool(answer.exposure_token) for answer in answers] == [True, False, True, False]
    assert server.count(variant="excluded", code="OK") == 2
    assert learners(server) == {IDLE: 2, BUSY: 1}
    (moved,) = ask(server, [question("new busy", packed=idle())])
    assert moved.variant == STEADY, "who was met as one of an excluded cohort stays one"
    assert server.count(variant="excluded", code="OK") == 3
    assert learners(server) == {IDLE: 2, BUSY: 1}, "and is counted nowhere"


def test_whoever_cannot_be_told_is_not_sent_to_what_harms_a_cohort(server: ServedHere) -> None:
    """Its own question says what is wrong, and neither arm is blamed once a cohort is excluded."""
    make_stable(server)
    early = question("ada", packed=idle(), as_of={"seconds": 1})
    for excluded, counted_as in ((frozenset(), NATIVE), (frozenset({BUSY}), "excluded")):
        split(server, 10_000, excluded_segments=excluded)
        for method in (lambda: server.analyzer.AnalyzeLearner(early, timeout=30),):
            with pytest.raises(grpc.RpcError) as caught:
                method()
            assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        (answer,) = server.analyzer.AnalyzeLearners(
            iter([analyzer_pb2.AnalyzeLearnersRequest(requests=[early])]), timeout=30
        )
        assert answer.results[0].status.code == grpc.StatusCode.FAILED_PRECONDITION.value[0]
        assert server.count(variant=counted_as, code="FAILED_PRECONDITION") == 2
    assert not learners(server)


def test_a_learner_of_a_dataset_belongs_to_a_cohort_too(server: ServedHere, ask: Ask) -> None:
    make_stable(server)
    server.analyzer.CreateDataset(analyzer_pb2.CreateDatasetRequest(dataset_id="d", request_id="d"), timeout=30)
    packed = days(28)
    packed.learner_id_dictionary.CopyFrom(events_pb2.DictionaryColumn(values=["ada"], indices_uint8=bytes(28)))
    messages = [
        datasets_pb2.AppendEventsRequest(dataset="datasets/d", append_id="a"),
        datasets_pb2.AppendEventsRequest(chunk_sequence=1, packed=packed),
    ]
    assert list(server.analyzer.AppendEvents(iter(messages), timeout=30))
    split(server, 10_000, excluded_segments=frozenset({BUSY}))
    (answer,) = ask(server, [analyzer_pb2.AnalyzeLearnerRequest(learner_id="ada", dataset="datasets/d")])
    assert answer.variant == STEADY
    assert server.count(variant="excluded", code="OK") == 1


def test_forgetting_a_learner_forgets_the_segment(server: ServedHere) -> None:
    make_stable(server)
    split(server, 10_000)
    server.analyzer.AnalyzeLearner(question("ada", packed=idle()), timeout=30)
    server.analyzer.DeleteLearner(analyzer_pb2.DeleteLearnerRequest(learner_id="ada", request_id="r"), timeout=30)
    assert learners(server) == {}
    server.analyzer.AnalyzeLearner(question("ada", packed=busy()), timeout=30)
    assert learners(server) == {BUSY: 1}
    split(server, 10_000, excluded_segments=frozenset({BUSY}))
    server.analyzer.AnalyzeLearner(question("bob", packed=busy()), timeout=30)
    server.analyzer.DeleteLearner(analyzer_pb2.DeleteLearnerRequest(learner_id="bob", request_id="b"), timeout=30)
    answer = server.analyzer.AnalyzeLearner(question("bob", packed=idle()), timeout=30)
    assert answer.variant == NATIVE


def test_what_callers_name_stays_the_default(server: ServedHere, ask: Ask) -> None:
    make_stable(server)
    split(server, segments_by_cohort=False)
    ask(server, [question("ada", packed=busy(), segment="mine")])
    assert learners(server) == {"mine": 1}


COHORTS = rollout_spec_pb2.SEGMENT_SOURCE_STABLE_COHORT


def test_a_plan_that_takes_cohorts_of_a_baseline_without_any_is_refused(rooms: Rooms, call: Caller) -> None:
    refused: Refusal = refusal(call.create, segment_source=COHORTS)
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.fields == ["spec.segment_source"]
    assert "variants/reference, which carries no cohort model" in refused.message
    assert call.create(segment_source=rollout_spec_pb2.SEGMENT_SOURCE_CALLER).name == "rollouts/x"


def with_model(rooms: Rooms, cohort_count: int) -> None:
    rooms.catalogue.add_cohort_model(model(centroids=tuple(number / 1000 for number in range(cohort_count))))
    request = analyzer_pb2.CreateVariantRequest(
        variant_id="steady", variant={"engine": "native", "cohort_model": "cohortModels/two"}, request_id="r"
    )
    rooms.catalogue.create_variant(request)
    with rooms.store.write() as connection:
        rooms.catalogue.set_stable(connection, STEADY)


def test_a_plan_by_cohorts_reaches_the_split(rooms: Rooms, call: Caller) -> None:
    with_model(rooms, 2)
    made: rollouts_pb2.Rollout = call.create(segment_source=COHORTS, baseline=STEADY)
    assert made.spec.segment_source == COHORTS
    call("StartRollout")
    found = rooms.board.latest()
    assert found is not None
    assert found.segments_by_cohort


def test_more_cohorts_than_segments_can_be_told_apart_are_refused(rooms: Rooms, call: Caller) -> None:
    with_model(rooms, 101)
    refused = refusal(call.create, segment_source=COHORTS, baseline=STEADY)
    assert refused.fields == ["spec.segment_source"]
    assert "101 cohorts" in refused.message
