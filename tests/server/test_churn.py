"""ScoreChurn over the wire: the library's answer, by the models that lie there, refused with a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from covey import Events
from covey.churn import Kind, panel, save_model, score, train
from covey.v1 import analyzer_pb2, churn_pb2, churn_pb2_grpc, datasets_pb2, events_pb2

from .rollout_rooms import Refusal
from .running import ServedHere

DAY_US = 86_400_000_000
START_US = 1_767_571_200_000_000
NAME = "datasets/leaving"
MODEL = "churnModels/churn@1"


class Leaving:
    """A served dataset of learners of whom some leave, two models beside it, and the same events in memory."""

    def __init__(self, server: ServedHere, directory: Path) -> None:
        random = np.random.default_rng(4)
        end = np.minimum(random.geometric(0.02, 250) + 5, 90)
        learner = np.repeat(np.arange(250), end // 2)
        day = np.concatenate([np.sort(random.integers(0, own, own // 2)) for own in end])
        time = START_US + day * DAY_US + random.integers(0, DAY_US, len(day))
        names = events_pb2.DictionaryColumn(values=["t"], indices_uint8=bytes(len(day)))
        packed = events_pb2.PackedEvents(
            event_count=len(learner), learner_id_int64=learner.astype("<i8").tobytes(),
            time_us=time.astype("<i8").tobytes(), domain=names, capability=names,
        )  # fmt: skip
        self.events = Events.from_numpy(learner, time, ["t"] * len(day), ["t"] * len(day), time_unit="us")
        server.analyzer.CreateDataset(analyzer_pb2.CreateDatasetRequest(dataset_id="leaving", request_id="c"))
        first = datasets_pb2.AppendEventsRequest(dataset=NAME, append_id="a")
        chunk = datasets_pb2.AppendEventsRequest(chunk_sequence=1, packed=packed)
        assert list(server.analyzer.AppendEvents(iter([first, chunk]), timeout=240))[-1].synced_chunk_sequence == 1
        rows = panel(self.events)
        self.models = [train(rows, Kind.logistic, version=version).model for version in (1, 2)]
        self.folder = directory / "churn-models"
        self.folder.mkdir()
        for model in self.models:
            save_model(model, self.folder / f"churn@{model.version}.json")
        self.stub = churn_pb2_grpc.ChurnServiceStub(server.data_channel)

    def ask(self, **fields: Any) -> churn_pb2.ScoreChurnResponse:
        request = churn_pb2.ScoreChurnRequest(**({"dataset": NAME, "model": MODEL} | fields))
        answer: churn_pb2.ScoreChurnResponse = self.stub.ScoreChurn(request, timeout=240)
        return answer


@pytest.fixture(scope="module")
def leaving(tmp_path_factory: pytest.TempPathFactory) -> Any:
    directory = tmp_path_factory.mktemp("churn") / "data"
    server = ServedHere(data_directory=directory)
    yield Leaving(server, directory)
    server.stop()


def test_scores_are_what_the_library_says(leaving: Leaving) -> None:
    answer = leaving.ask(candidate_model="churnModels/churn@2", candidate_weight_bp=3_000, salt="uid", count=10_000)
    first, second = leaving.models
    found = score(first, leaving.events, candidate=second, weight_bp=3_000, salt="uid")
    assert answer.as_of.ToMicroseconds() == found.as_of_us == leaving.events.newest_us + 1
    assert (answer.learner_count, answer.flagged_count) == (len(found), int(found.flagged.sum()))
    assert answer.horizon_days == 28 and "no event in the next 28 days" in answer.definition
    order = np.argsort(-found.probability, kind="stable")
    reasons = found.reasons(order)
    assert len(answer.scores) == len(found)
    for sent, row, why in zip(answer.scores, order.tolist(), reasons, strict=True):
        assert sent.learner_id == found.learner_ids.text(row)
        assert sent.probability == pytest.approx(found.probability[row], abs=1e-12)
        assert sent.variant == found.models[found.variant[row]].variant
        assert [one.text for one in sent.reasons] == [one.text for one in why]
    assert {own.variant for own in answer.scores} == {first.variant, second.variant}
    least = answer.scores[20].probability
    few = leaving.ask(count=30, min_probability=least)
    assert len(few.scores) <= 30 and all(own.probability >= least for own in few.scores)


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"dataset": "datasets/none"}, grpc.StatusCode.NOT_FOUND, "does not exist"),
        ({"model": "churnModels/churn@9"}, grpc.StatusCode.NOT_FOUND, "no churn-models/churn@9.json"),
        ({"model": "churnModels/../x@1"}, grpc.StatusCode.INVALID_ARGUMENT, "not of the form churnModels/NAME@VERSION"),
        ({"count": -1}, grpc.StatusCode.INVALID_ARGUMENT, "count: -1 is not 0 to 10000"),
        ({"min_probability": 2.0}, grpc.StatusCode.INVALID_ARGUMENT, "min_probability: 2 is not 0 to 1"),
        ({"candidate_weight_bp": 5}, grpc.StatusCode.INVALID_ARGUMENT, "there is a share, and no candidate_model"),
        (
            {"candidate_model": "churnModels/churn@1", "candidate_weight_bp": 5},
            grpc.StatusCode.INVALID_ARGUMENT,
            "salt: there is a share, and no salt",
        ),
        ({"as_of": {"seconds": 10}}, grpc.StatusCode.INVALID_ARGUMENT, "is before every event"),
        ({"model": "churnModels/moved@1"}, grpc.StatusCode.FAILED_PRECONDITION, "the file was renamed"),
        ({"model": "churnModels/old@1"}, grpc.StatusCode.FAILED_PRECONDITION, "trained on version 0 of the traits"),
        ({"model": "churnModels/bad@1"}, grpc.StatusCode.FAILED_PRECONDITION, "its digest is not that of its content"),
    ],
)
def test_refusals_say_why(leaving: Leaving, fields: dict[str, Any], code: grpc.StatusCode, words: str) -> None:
    from dataclasses import replace

    save_model(leaving.models[0], leaving.folder / "moved@1.json")
    save_model(replace(leaving.models[0], name="old", trait_version=0).sealed(), leaving.folder / "old@1.json")
    save_model(replace(leaving.models[0], name="bad"), leaving.folder / "bad@1.json")
    with pytest.raises(grpc.RpcError) as refused:
        leaving.ask(**fields)
    assert refused.value.code() is code
    assert words in refused.value.details()
    assert str(leaving.folder) not in refused.value.details()


def test_a_refusal_in_a_process_of_its_own_keeps_its_reason(leaving: Leaving) -> None:
    for model, reason in (("churn@9", "MODEL_NOT_FOUND"), ("../x@1", "INVALID_FIELD")):
        with pytest.raises(grpc.RpcError) as refused:
            leaving.ask(model=f"churnModels/{model}")
        assert Refusal(refused.value).reason == reason
