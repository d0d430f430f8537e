"""Plain questions: the core and the generated messages agree on what is plain, and on every bit of the answer."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from covey import _core
from covey.parameters import TraitParameters
from covey.v1 import analyzer_pb2, cohorts_pb2, events_pb2, traits_pb2
from covey_server.answering.engines import AnalyzerEngine
from covey_server.answering.online import online_analyzer, read_question, read_questions, with_token, written
from covey_server.catalogue.names import checked_learner_id
from covey_server.decoding import decode_packed, microseconds_of
from covey_server.errors import CallError

Request = analyzer_pb2.AnalyzeLearnerRequest
DAY_US = 86_400_000_000
NOW_US = 20_000 * DAY_US + 12_345_678_901


def cohort_model() -> cohorts_pb2.CohortModel:
    values = np.random.default_rng(5).random((4, 5))
    return cohorts_pb2.CohortModel(
        name="cohortModels/m",
        trait_weights=traits_pb2.TraitVector(
            learning_velocity=1,
            domain_affinity=2,
            interaction_frequency=0.3,
            feedback_responsiveness=1,
            retention_strength=0,
        ),
        cohorts=[
            cohorts_pb2.Cohort(
                index=number,
                centroid=traits_pb2.TraitVector(
                    learning_velocity=row[0],
                    domain_affinity=row[1],
                    interaction_frequency=row[2],
                    feedback_responsiveness=row[3],
                    retention_strength=row[4],
                ),
            )
            for number, row in enumerate(values)
        ],
    )


ENGINES = {
    "without a model": AnalyzerEngine("native", TraitParameters(), variant="variants/v"),
    "with a model": AnalyzerEngine("native", TraitParameters(), cohort_model(), "variants/v"),
}


def dictionary(generator: np.random.Generator, count: int, names: list[str], kind: str) -> events_pb2.DictionaryColumn:
    dtype = {"indices_uint8": "u1", "indices_uint16": "<u2", "indices_int32": "<i4"}[kind]
    index = generator.integers(0, len(names), count).astype(dtype).tobytes()
    return events_pb2.DictionaryColumn(values=names, **{kind: index})


KINDS = st.sampled_from(["indices_uint8", "indices_uint16", "indices_int32"])


@st.composite
def plain_requests(draw: st.DrawFn) -> Request:
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = draw(st.integers(1, 80))
    time_us = NOW_US - generator.integers(-3 * DAY_US, 70 * DAY_US, count)
    packed = events_pb2.PackedEvents(event_count=count, time_us=time_us.astype("<i8").tobytes())
    if draw(st.booleans()):
        names = draw(st.lists(st.text(max_size=6), min_size=1, max_size=12, unique=True))
        packed.domain.CopyFrom(dictionary(generator, count, names, draw(KINDS)))
    if draw(st.booleans()):
        names = [f"c{number}" for number in range(draw(st.integers(1, 200)))]
        packed.capability.CopyFrom(dictionary(generator, count, names, draw(KINDS)))
    if draw(st.booleans()):
        packed.kind = generator.integers(0, 5, count).astype("u1").tobytes()
    if draw(st.booleans()):
        packed.action_taken = generator.integers(0, 2, count).astype("u1").tobytes()
    if draw(st.booleans()):
        packed.weight_float32 = (generator.integers(0, 40, count) / 8).astype("<f4").tobytes()
    request = Request(
        learner_id=draw(st.text(min_size=1, max_size=40)), packed=packed, segment=draw(st.text(max_size=9))
    )
    if draw(st.booleans()):
        request.as_of.FromMicroseconds(NOW_US + draw(st.integers(-80 * DAY_US, DAY_US)))
    return request


def expected(engine: AnalyzerEngine, request: Request) -> analyzer_pb2.AnalyzeLearnerResponse | None:
    """The answer by way of messages; None where there is no event yet."""
    as_of_us = microseconds_of(request.as_of, "as_of") if request.HasField("as_of") else NOW_US
    events = decode_packed(request.packed, "packed")
    checked_learner_id(request.learner_id)
    assert len(request.segment.encode()) <= 64
    try:
        analysis = engine.analyze(events, as_of_us)
    except CallError as error:
        assert error.code is grpc.StatusCode.FAILED_PRECONDITION
        return None
    response = analyzer_pb2.AnalyzeLearnerResponse(
        learner_id=request.learner_id, traits=analysis.traits, variant="variants/v"
    )
    if analysis.cohort is not None and analysis.model is not None:
        response.cohort.CopyFrom(analysis.cohort)
        response.cohort_model = analysis.model.name
    return response


def answered(engine: AnalyzerEngine, question: _core.LearnerQuestion) -> analyzer_pb2.AnalyzeLearnerResponse | None:
    assert engine.online is not None
    answer = engine.online.answer(question, NOW_US if question.as_of_us is None else question.as_of_us)
    return None if answer is None else analyzer_pb2.AnalyzeLearnerResponse.FromString(answer)


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES.keys())
@given(request=plain_requests())
@settings(max_examples=80)
def test_a_plain_question_gets_the_answer_of_the_messages_bit_for_bit(engine: AnalyzerEngine, request: Request) -> None:
    question = read_question(request.SerializeToString())
    assert isinstance(question, _core.LearnerQuestion)
    assert (question.learner_id, question.segment) == (request.learner_id, request.segment)
    assert question.event_count == request.packed.event_count
    assert question.bucket("salt") == _core.murmur3_x86_32(f"salt:{request.learner_id}".encode())
    assert answered(engine, question) == expected(engine, request)


@given(data=st.data())
@settings(max_examples=300)
def test_whatever_is_read_as_plain_is_so_for_the_messages_too(data: Any) -> None:
    """Bytes changed, cut and repeated: what the core takes, the full decoder takes, and both see the same."""
    raw = bytearray(data.draw(plain_requests()).SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(raw) - 1))
        match data.draw(st.sampled_from(["set", "cut", "repeat", "append"])):
            case "set":
                raw[position] = data.draw(st.integers(0, 255))
            case "cut":
                del raw[position : position + data.draw(st.integers(1, 4))]
            case "repeat":
                raw[position:position] = raw[position : position + data.draw(st.integers(1, 16))]
            case _:
                raw += data.draw(st.binary(min_size=1, max_size=4))
        if not raw:
            return
    question = _core.read_question(bytes(raw))
    if question is not None:
        request = Request.FromString(bytes(raw))
        engine = ENGINES["with a model"]
        assert (question.learner_id, question.segment) == (request.learner_id, request.segment)
        assert answered(engine, question) == expected(engine, request)


def good() -> Request:
    packed = events_pb2.PackedEvents(
        event_count=2,
        time_us=np.array([0, DAY_US], "<i8").tobytes(),
        domain=events_pb2.DictionaryColumn(values=["a", "b"], indices_uint8=b"\0\1"),
    )
    return Request(learner_id="ada", packed=packed)


def changed(**fields: Any) -> Request:
    request = good()
    for name, value in fields.items():
        if name in {"learner_id", "segment", "dataset"}:
            setattr(request, name, value)
        elif isinstance(value, events_pb2.DictionaryColumn):
            getattr(request.packed, name).CopyFrom(value)
        else:
            setattr(request.packed, name, value)
    return request


@pytest.mark.parametrize(
    "request_message",
    [
        changed(learner_id=""),
        changed(learner_id="ä" * 129),
        changed(segment="x" * 65),
        changed(dataset="datasets/d"),
        changed(event_count=3),
        changed(event_count=-1),
        changed(time_us=b"\0" * 15),
        changed(time_us=np.array([0, 2**62], "<i8").tobytes()),
        changed(domain=events_pb2.DictionaryColumn(values=["a", "b"], indices_uint8=b"\0\2")),
        changed(domain=events_pb2.DictionaryColumn(values=["a", "a"], indices_uint8=b"\0\1")),
        changed(domain=events_pb2.DictionaryColumn(values=["a"])),
        changed(domain=events_pb2.DictionaryColumn(values=["a"], indices_int32=np.array([0, -1], "<i4").tobytes())),
        changed(capability=events_pb2.DictionaryColumn(values=["a"], indices_uint16=b"\0")),
        changed(kind=b"\1\5"),
        changed(action_taken=b"\0\2"),
        changed(weight_float32=np.array([1, np.nan], "<f4").tobytes()),
        changed(weight_float32=np.array([1, np.inf], "<f4").tobytes()),
        changed(weight_float32=np.array([1, -1], "<f4").tobytes()),
        changed(learner_id_int64=np.array([1, 1], "<i8").tobytes()),
        Request(learner_id="ada", rows=events_pb2.EventRows()),
        Request(learner_id="ada"),
    ],
    ids=str,
)
def test_what_is_not_plain_is_left_to_the_messages(request_message: Request) -> None:
    raw = request_message.SerializeToString()
    assert _core.read_question(raw) is None
    assert read_question(raw) == request_message


def test_text_that_is_no_utf8_is_an_error_of_the_transport() -> None:
    raw = good().SerializeToString().replace(b"ada", b"a\xffa")
    with pytest.raises(DecodeError):
        read_question(raw)
    part = b"\x0a" + bytes([len(raw)]) + raw
    with pytest.raises(DecodeError):
        read_questions(part)


def test_a_message_with_anything_else_in_it_is_left_to_the_messages() -> None:
    message = analyzer_pb2.AnalyzeLearnersRequest(requests=[good()])
    assert isinstance(read_questions(message.SerializeToString()), _core.LearnerQuestions)
    assert isinstance(read_questions(message.SerializeToString() + b"\x10\x01"), analyzer_pb2.AnalyzeLearnersRequest)


@given(requests=st.lists(plain_requests(), min_size=1, max_size=12))
@settings(max_examples=40)
def test_together_as_alone(requests: list[Request]) -> None:
    """Weights or none, one instant or many, wide dictionaries or narrow: a neighbour changes nothing."""
    engine = ENGINES["with a model"]
    assert engine.online is not None
    message = analyzer_pb2.AnalyzeLearnersRequest(requests=requests).SerializeToString()
    questions = read_questions(message)
    assert isinstance(questions, _core.LearnerQuestions)
    positions = questions.plain_positions()
    assert positions == list(range(len(requests)))
    together = engine.online.answer_many(questions, positions, NOW_US)
    alone = []
    for position in positions:
        question = questions.question(position)
        assert question is not None
        alone.append(engine.online.answer(question, NOW_US if question.as_of_us is None else question.as_of_us))
    assert together == alone
    assert questions.buckets("s", positions).tolist() == [
        _core.murmur3_x86_32(f"s:{request.learner_id}".encode()) for request in requests
    ]


def test_a_response_is_the_one_that_the_messages_write() -> None:
    response = analyzer_pb2.AnalyzeLearnerResponse(learner_id="ada", variant="variants/v")
    failure = analyzer_pb2.AnalyzeLearnerResult()
    failure.status.code = 3
    failure.status.message = "x" * 300
    message = analyzer_pb2.AnalyzeLearnersResponse.FromString(
        _core.learners_response([response.SerializeToString(), None], {1: failure.status.SerializeToString()})
    )
    assert message.results[0].response == response
    assert message.results[0].HasField("status")
    assert message.results[0].status.code == 0
    assert message.results[1] == failure


def test_a_token_is_the_last_field() -> None:
    response = analyzer_pb2.AnalyzeLearnerResponse(learner_id="ada", variant="variants/v")
    raw = written(response)
    response.exposure_token = "t" * 32
    assert with_token(raw, "t" * 32) == response.SerializeToString()
    assert with_token(raw, "") == raw


def test_tails_are_one_per_cohort() -> None:
    parameters = TraitParameters()
    scale = np.ones(5, np.float32)
    with pytest.raises(ValueError, match="tails must have one element per cohort"):
        online_analyzer("variants/v", parameters, None, scale, np.zeros((2, 5), np.float32))
    with pytest.raises(ValueError, match=r"shape \(k, 5\)"):
        online_analyzer("variants/v", parameters, None, scale, np.zeros((2, 4), np.float32))
    with pytest.raises(ValueError, match="is not plain"):
        message = analyzer_pb2.AnalyzeLearnersRequest(requests=[Request(learner_id="x")]).SerializeToString()
        questions = _core.read_questions(message)
        assert questions is not None
        questions.buckets("salt", [0])
