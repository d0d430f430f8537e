"""AnalyzeLearner against a real server: answers, refusals, routing, exposures, probes."""

from __future__ import annotations

import time
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from waiting import wait_until

from covey.parameters import TRAIT_NAMES
from covey.reference.hashing import murmur3_x86_32
from covey.v1 import analyzer_pb2, cohorts_pb2, datasets_pb2, events_pb2

from .running import DAY_US, NATIVE, REFERENCE, ServedHere, history, question

PROBE = "covey-probe-variant"


def refusal(
    server: ServedHere, request: analyzer_pb2.AnalyzeLearnerRequest, **call: Any
) -> tuple[grpc.RpcError, dict[str, str]]:
    """The error of a call and its field violations."""
    with pytest.raises(grpc.RpcError) as caught:
        server.analyzer.AnalyzeLearner(request, timeout=10, **call)
    status = rpc_status.from_call(caught.value)
    assert status is not None
    violations: dict[str, str] = {}
    for detail in status.details:
        bad_request = error_details_pb2.BadRequest()
        if detail.Unpack(bad_request):
            violations |= {found.field: found.description for found in bad_request.field_violations}
    return caught.value, violations


def test_both_engines_answer_the_same_question_alike(server: ServedHere) -> None:
    for seed in range(10):
        request = question(str(seed), seed, as_of=Timestamp(seconds=int(time.time())))
        answers = [
            server.analyzer.AnalyzeLearner(request, metadata=[(PROBE, variant)], timeout=10)
            for variant in (REFERENCE, NATIVE)
        ]
        assert [answer.variant for answer in answers] == [REFERENCE, NATIVE]
        one, other = (answer.traits for answer in answers)
        for name in (*TRAIT_NAMES, "momentum", "domain_entropy", "tenure_days", "recency_days"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-6)
        assert (one.event_count, one.active_days_count) == (other.event_count, other.active_days_count)


def test_the_default_instant_is_the_servers_clock_and_the_answer_says_so(server: ServedHere) -> None:
    before = time.time()
    answer = server.analyzer.AnalyzeLearner(question("7"), timeout=10)
    assert before - 1 <= answer.traits.as_of.ToMicroseconds() / 1e6 <= time.time() + 1
    assert answer.variant == REFERENCE
    assert answer.exposure_token == ""
    assert not answer.HasField("cohort")


def test_rows_and_packed_columns_are_one_history(server: ServedHere) -> None:
    moments = [1_700_000_000, 1_700_100_000, 1_700_200_000]
    rows = events_pb2.EventRows(
        rows=[
            events_pb2.EventRow(time=Timestamp(seconds=moment), domain="d", capability=f"c{number % 2}")
            for number, moment in enumerate(moments)
        ]
    )
    packed = events_pb2.PackedEvents(
        event_count=3,
        time_us=np.array(moments[::-1], "<i8").__mul__(1_000_000).tobytes(),
        domain=events_pb2.DictionaryColumn(values=["d"], indices_uint8=bytes(3)),
        capability=events_pb2.DictionaryColumn(values=["c0", "c1"], indices_uint8=bytes([0, 1, 0])),
    )
    as_of = Timestamp(seconds=1_700_300_000)
    by_rows = server.analyzer.AnalyzeLearner(question("7", rows=rows, as_of=as_of), timeout=10)
    by_columns = server.analyzer.AnalyzeLearner(question("7", packed=packed, as_of=as_of), timeout=10)
    assert by_rows.traits == by_columns.traits


@pytest.mark.parametrize(
    ("request_", "field", "description"),
    [
        (analyzer_pb2.AnalyzeLearnerRequest(learner_id="7"), "history", "name a dataset"),
        (question(""), "learner_id", "missing"),
        (question("x" * 257), "learner_id", "256 bytes"),
        (question("7", segment="s" * 65), "segment", "64 bytes"),
        (question("7", as_of=Timestamp(seconds=10**12)), "as_of", "years 1 to 9999"),
        (
            question("7", packed=events_pb2.PackedEvents(event_count=2, time_us=bytes(17))),
            "packed.time_us",
            "17 bytes is not a multiple of 8",
        ),
        (question("7", dataset="nonsense"), "dataset", "datasets/"),
    ],
)
def test_a_wrong_field_is_named(
    server: ServedHere, request_: analyzer_pb2.AnalyzeLearnerRequest, field: str, description: str
) -> None:
    error, violations = refusal(server, request_)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert description in violations[field]


def test_a_history_above_4_mib_is_sent_to_a_dataset(server: ServedHere) -> None:
    packed = events_pb2.PackedEvents(event_count=525_000, time_us=bytes(8 * 525_000))
    error, violations = refusal(server, question("7", packed=packed))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "store a dataset" in violations["packed"]


def test_no_event_at_or_before_the_instant_is_a_failed_precondition(server: ServedHere) -> None:
    now_us = int(time.time() * 1e6)
    error, _ = refusal(server, question("7", packed=history(newest_us=now_us + 400 * DAY_US)))
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "set as_of to a later time" in (error.details() or "")
    error, _ = refusal(server, question("7", packed=events_pb2.PackedEvents()))
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION


def test_an_unknown_dataset_is_not_found(server: ServedHere) -> None:
    error, _ = refusal(server, question("7", dataset="datasets/nobody"))
    assert error.code() is grpc.StatusCode.NOT_FOUND


def test_a_stored_history_is_looked_at_from_its_datasets_newest_event(server: ServedHere) -> None:
    name = "datasets/spring"
    server.analyzer.CreateDataset(
        analyzer_pb2.CreateDatasetRequest(dataset_id="spring", request_id="create"), timeout=10
    )
    mine, other = history(1, newest_us=1_700_000_000_000_000), history(2, newest_us=1_701_000_000_000_000)
    appends = [datasets_pb2.AppendEventsRequest(dataset=name, append_id="a")]
    for sequence, (learner, events) in enumerate((("ann", mine), ("bo", other)), start=1):
        owned = events_pb2.PackedEvents()
        owned.CopyFrom(events)
        count = events.event_count
        owned.learner_id_dictionary.CopyFrom(events_pb2.DictionaryColumn(values=[learner], indices_uint8=bytes(count)))
        appends.append(datasets_pb2.AppendEventsRequest(chunk_sequence=sequence, packed=owned))
    assert list(server.analyzer.AppendEvents(iter(appends), timeout=30))[-1].synced_event_count == 80
    newest_us = int(np.frombuffer(other.time_us, "<i8").max())
    stored = server.analyzer.AnalyzeLearner(question("ann", dataset=name), timeout=10)
    as_of = Timestamp()
    as_of.FromMicroseconds(newest_us)
    inline = server.analyzer.AnalyzeLearner(question("ann", packed=mine, as_of=as_of), timeout=10)
    assert stored.traits == inline.traits
    assert stored.traits.as_of == as_of
    error, _ = refusal(server, question("cy", dataset=name))
    assert error.code() is grpc.StatusCode.NOT_FOUND


def test_learners_go_exactly_where_the_hash_sends_them(server: ServedHere) -> None:
    server.split(3_000)
    request = question("0")
    for number in range(300):
        request.learner_id = f"learner-{number}"
        answer = server.analyzer.AnalyzeLearner(request, timeout=10)
        is_candidate = murmur3_x86_32(f"salt:learner-{number}".encode()) < 3_000 * 2**32 // 10_000
        assert answer.variant == (NATIVE if is_candidate else REFERENCE)
        assert answer.exposure_token
    assert server.count("covey_learners") == 300
    assert server.count("covey_requests_total", code="OK") == 300
    assert server.count("covey_shard_requests_total", result="served") == 300
    assert server.samples("covey_rollout_weight_ratio", rollout="rollouts/test") == {(): 0.3}


def test_a_learner_is_exposed_once_a_phase_and_in_its_segment(server: ServedHere) -> None:
    server.split(0)
    for segment in ("", "north", "north"):
        for learner in ("1", "2"):
            server.analyzer.AnalyzeLearner(question(learner + segment, segment=segment), timeout=10)
    assert server.samples("covey_learners", variant=REFERENCE, segment="north") == {(): 2}
    assert server.samples("covey_learners", variant=REFERENCE, segment="") == {(): 2}
    assert server.samples("covey_learners", variant=NATIVE, segment="") == {(): 0}


def test_a_probe_is_answered_and_leaves_no_trace(server: ServedHere) -> None:
    server.split(0, shadow_share=1.0)
    answer = server.analyzer.AnalyzeLearner(question("1"), metadata=[(PROBE, NATIVE)], timeout=10)
    assert answer.variant == NATIVE
    assert answer.exposure_token == ""
    assert server.count("covey_requests_total") == 0
    assert server.count("covey_learners") == 0
    assert server.count("covey_shadow_total") == 0


def test_a_candidate_that_nobody_has_let_in_is_not_run_for_probes_either(server: ServedHere) -> None:
    server.split(0, shadow_share=0.0)
    error, _ = refusal(server, question("1"), metadata=[(PROBE, NATIVE)])
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert server.analyzer.AnalyzeLearner(question("1"), metadata=[(PROBE, REFERENCE)], timeout=10).variant == REFERENCE
    server.split(1, shadow_share=0.0)
    assert server.analyzer.AnalyzeLearner(question("1"), metadata=[(PROBE, NATIVE)], timeout=10).variant == NATIVE


def test_a_probe_of_an_unknown_variant_says_so(server: ServedHere) -> None:
    error, _ = refusal(server, question("1"), metadata=[(PROBE, "variants/nobody")])
    assert error.code() is grpc.StatusCode.NOT_FOUND


def test_a_variant_with_a_cohort_model_answers_with_the_nearest_cohort(server: ServedHere) -> None:
    weights = {"learning_velocity": 0.3, "domain_affinity": 0.25} | dict.fromkeys(TRAIT_NAMES[2:], 0.15)
    cohorts = [
        cohorts_pb2.Cohort(index=index, archetype=cohorts_pb2.ARCHETYPE_GENERALIST, centroid=_vector(centroid))
        for index, centroid in enumerate((0.0, 0.2, 0.5))
    ]
    model = cohorts_pb2.CohortModel(
        name="cohortModels/three",
        engine="native",
        trait_weights=cohorts_pb2.CohortModel().trait_weights,
        cohorts=cohorts,
    )
    for name, weight in weights.items():
        setattr(model.trait_weights, name, weight)
    server.room.catalogue.add_cohort_model(model)
    answers = []
    for engine in ("reference", "native"):
        server.analyzer.CreateVariant(
            analyzer_pb2.CreateVariantRequest(
                variant_id=f"{engine}-three",
                variant={"engine": engine, "cohort_model": "cohortModels/three"},
                request_id=f"make {engine}",
            ),
            timeout=10,
        )
        metadata = [(PROBE, f"variants/{engine}-three")]
        answers.append(server.analyzer.AnalyzeLearner(question("7"), metadata=metadata, timeout=10))
    for answer in answers:
        points = np.array([getattr(answer.traits, name) for name in TRAIT_NAMES]) * np.sqrt(list(weights.values()))
        expected = int(np.argmin([np.square(points - centroid).sum() for centroid in (0.0, 0.2, 0.5)]))
        assert answer.cohort.index == expected
        assert answer.cohort_model == "cohortModels/three"


def _vector(value: float) -> Any:
    return dict.fromkeys(TRAIT_NAMES, value)


def test_the_shadow_compares_at_no_traffic_and_finds_the_engines_equal(server: ServedHere) -> None:
    server.split(0, shadow_share=1.0)
    for number in range(30):
        server.analyzer.AnalyzeLearner(question(str(number), number), timeout=10)
    wait_until(lambda: server.count("covey_shadow_total", result="equal") == 30)
    assert server.count("covey_shadow_total") == 30


def test_what_is_live_is_told(server: ServedHere) -> None:
    info = server.analyzer.GetServerInfo(analyzer_pb2.GetServerInfoRequest(), timeout=10)
    assert info.stable_variant == REFERENCE
    assert info.active_isa in info.available_isas
    assert not info.HasField("active_split")
    assert not info.faults_enabled
    server.split(250)
    split = server.analyzer.GetServerInfo(analyzer_pb2.GetServerInfoRequest(), timeout=10).active_split
    assert (split.baseline, split.candidate, split.candidate_weight_bp) == (REFERENCE, NATIVE, 250)
