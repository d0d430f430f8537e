"""InterventionService over the wire: the plans and effects of the library and of its outbox, each action once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import yaml
from google.protobuf.json_format import MessageToDict
from typed import run

from covey.churn import Kind, panel, save_model, score, train
from covey.client import Client
from covey.client.analysis import analysis_data
from covey.experiment import experiment_data
from covey.interventions import Candidates, Outbox, measure_effect, read_playbook
from covey.interventions.effect import came_back
from covey.v1 import analyzer_pb2, churn_pb2, interventions_pb2, interventions_pb2_grpc
from covey_server.experiments.asked import message_of
from covey_server.interventions.messages import playbook_of
from covey_server.studies.desk import StudyDesk

from .postgres import Cluster
from .rollout_rooms import refusal
from .running import ServedHere
from .stored import DAY_US, START_US, store_events

NAME = "datasets/leaving"
AS_OF_US = START_US + 40 * DAY_US
BOOK: dict[str, Any] = {"name": "welcome-back", "min_probability": 0.2, "reasons": ["silence", "counts"],
                        "action": "send_message", "parameters": {"template": "we-miss-you"}}  # fmt: skip
PLAIN = {"playbook": "welcome-back", "who": {"min_probability": 0.2, "reasons": ["silence", "counts"]},
         "what": {"action": "send_message", "parameters": {"template": "we-miss-you"}}}  # fmt: skip
PROJECT = Path(__file__).parents[2]
Asked = interventions_pb2.PlanInterventionsRequest
State = interventions_pb2.InterventionAction


class World:
    """A server with a dataset of learners of whom some leave, a model beside it, and the same in memory."""

    def __init__(self, server: ServedHere, directory: Path) -> None:
        random = np.random.default_rng(4)
        end = np.minimum(random.geometric(0.02, 250) + 5, 90)
        learner = np.repeat(np.arange(250), end // 2)
        day = np.concatenate([np.sort(random.integers(0, own, own // 2)) for own in end])
        time_us = START_US + day * DAY_US + random.integers(0, DAY_US, len(day))
        self.events = store_events(server, "leaving", learner, time_us, ["t"], np.zeros(len(learner), np.int64))
        self.model = train(panel(self.events), Kind.logistic).model
        (directory / "churn-models").mkdir()
        save_model(self.model, directory / "churn-models" / "churn@1.json")
        self.server = server
        self.client = Client(data=f"127.0.0.1:{server.data_port}", timeout_seconds=240)

    def churn(self, as_of_us: int = AS_OF_US) -> churn_pb2.ScoreChurnRequest:
        request = churn_pb2.ScoreChurnRequest(dataset=NAME, model="churnModels/churn@1")
        request.as_of.FromMicroseconds(as_of_us)
        return request

    def candidates(self) -> Candidates:
        return Candidates.of_table(score(self.model, self.events, AS_OF_US).to_arrow())

    def plan(self, request_id: str, book: dict[str, Any] | None = None, **fields: Any) -> Any:
        request = Asked(playbook=interventions_pb2.Playbook(**(book or BOOK)), request_id=request_id, **fields)
        return self.client.plan_interventions(request)

    def actions(self, state: Any = State.STATE_WAITING, playbook: str = "") -> list[Any]:
        return list(self.client.list_intervention_actions(state, playbook))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    server = ServedHere(data_directory=tmp_path / "data")
    made = World(server, tmp_path / "data")
    yield made
    made.client.close()
    server.stop()


def given(*rows: tuple[str, float], day: int = 0) -> interventions_pb2.InterventionScores:
    scores = interventions_pb2.InterventionScores()
    scores.as_of.FromMicroseconds(START_US + day * DAY_US)
    for learner, probability in rows:
        scores.scores.add(learner_id=learner, probability=probability, reasons=[{"code": "silence"}], variant="m@1:aa")
    return scores


def test_a_plan_and_its_effect_are_those_of_the_outbox(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    book = read_playbook(PROJECT / "examples" / "welcome-back.yaml")
    assert playbook_of(interventions_pb2.Playbook(**BOOK)) == replace(book, reasons=("silence", "counts"))
    book = playbook_of(interventions_pb2.Playbook(**BOOK))
    box = Outbox(tmp_path / "box.sqlite")
    dry = world.plan("dry", churn=world.churn(), dry_run=True)
    assert world.actions() == []
    answer = world.plan("1", churn=world.churn())
    found = box.plan(book, world.candidates())
    assert dry == answer and answer.as_of.ToMicroseconds() == AS_OF_US
    assert (answer.chosen_count, answer.new_count) == (found.chosen_count, len(found.enrolments))
    assert (answer.held_out_count, answer.action_count) == (found.held_out_count, len(found.actions))
    assert answer.held_out_count > 0 and answer.action_count > 10
    sent = {own.key: own for own in world.actions()}
    assert {key: own.body for key, own in sent.items()} == {
        own.key: json.dumps(dict(own.body), sort_keys=True) for own in found.actions
    }
    enrolled = world.server.room.interventions.enrolments(book)
    assert enrolled == box.enrolments(book)
    asked = interventions_pb2.ReportInterventionEffectRequest(dataset=NAME, playbook=interventions_pb2.Playbook(**BOOK))
    effect = world.client.report_intervention_effect(asked)
    measured = measure_effect(book, enrolled, came_back(enrolled, world.events, book.outcome_days))
    expected = message_of(
        experiment_data(measured.result), interventions_pb2.ReportInterventionEffectResponse().analysis
    )
    assert effect.analysis == expected and effect.open_count == measured.open_count
    assert {arm.variant for arm in effect.analysis.split.arms} == {"held_out", "treated"}
    # The way back: what `covey intervene effect --server` prints is what the library says.
    said = experiment_data(measured.result)
    assert analysis_data(effect.analysis) == said
    (tmp_path / "book.yaml").write_text(yaml.safe_dump(PLAIN))
    command = [
        "intervene",
        "effect",
        str(tmp_path / "book.yaml"),
        "--server",
        world.client.data,
        "--dataset",
        "leaving",
    ]
    status, out, err = run(capsys, *command, "--timeout", "4m", "--output", "json")
    assert (status, err) == (0, "") and json.loads(out) == {**said, "open_count": effect.open_count}
    status, out, err = run(capsys, *command, "--timeout", "4m")
    assert (status, err) == (0, "") and said["headline"] in " ".join(out.split()) and "days are not over" in out
    status, _, err = run(capsys, *command[:-1], "none")
    assert status == 1 and "does not exist" in err
    assert "or --server HOST:PORT and --dataset NAME" in run(capsys, *command[:-2])[2]
    box.close()


def test_a_request_counts_once_however_often_it_comes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same request again, as after an answer that was lost; and many at once, also under ids of their own."""
    scored: list[str] = []
    run = StudyDesk.study
    monkeypatch.setattr(
        StudyDesk, "study", lambda self, kind, *more: scored.append(kind) or run(self, kind, *more)
    )  # fmt: skip
    first = world.plan("same", churn=world.churn())
    assert world.plan("same", churn=world.churn()) == first and scored == ["candidates"]
    count = len(world.actions())
    assert count == first.action_count > 0
    again = world.plan("other", churn=world.churn())  # another request for the same scores
    assert (again.action_count, again.new_count) == (0, 0) and again.cooling_count == first.action_count
    reused = refusal_of(world, "same", scores=given(("ada", 0.9)))
    assert (reused.code, reused.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")

    scores = given(*((f"n{number}", 0.9) for number in range(50)))
    for ids in (["at-once"] * 6, [f"own-{number}" for number in range(6)]):
        book = BOOK | {"name": ids[0]}
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda own, book=book: world.plan(own, book, scores=scores, quiet_days=0), ids))
        planned = [own.action_count for own in answers]
        assert len(world.actions(playbook=ids[0])) == max(planned) > 30
        assert sum(planned) == max(planned) * (6 if ids[0] == "at-once" else 1)


def refusal_of(world: World, request_id: str, book: dict[str, Any] | None = None, **fields: Any) -> Any:
    stub = interventions_pb2_grpc.InterventionServiceStub(world.server.data_channel)
    request = Asked(playbook=interventions_pb2.Playbook(**(BOOK if book is None else book)), request_id=request_id, **fields)  # fmt: skip # noqa: E501
    return refusal(stub.PlanInterventions, request, timeout=240)


def test_limits_pauses_and_quiet_days_hold(world: World) -> None:
    book = BOOK | {"holdout_share": 0.0, "limit_per_learner": 2, "cool_down_days": 5}
    days = {day: world.plan(f"d{day}", book, scores=given(("ada", 0.9), day=day)) for day in (0, 2, 5, 20)}
    assert [own.action_count for own in days.values()] == [1, 0, 1, 0]
    assert (days[2].cooling_count, days[20].limited_count) == (1, 1)
    other = BOOK | {"name": "other", "holdout_share": 0.0}
    assert world.plan("q", other, scores=given(("ada", 0.9), day=5)).quiet_count == 1
    assert world.plan("r", other, scores=given(("ada", 0.9), day=5), quiet_days=0).action_count == 1


def test_actions_are_listed_in_pages_advanced_once_and_expire(world: World) -> None:
    book = BOOK | {"holdout_share": 0.0}
    world.plan("1", book, scores=given(*((f"n{number:02}", 0.9) for number in range(7))))
    stub = interventions_pb2_grpc.InterventionServiceStub(world.server.data_channel)
    page = stub.ListInterventionActions(interventions_pb2.ListInterventionActionsRequest(page_size=3), timeout=60)
    assert len(page.actions) == 3 and page.next_page_token
    keys = [own.key for own in world.actions()]
    assert len(set(keys)) == 7
    advanced = world.client.advance_intervention_actions(keys[:3], keys[3:4])
    assert (advanced.done_count, advanced.given_up_count) == (3, 1)
    assert world.client.advance_intervention_actions(keys[:4], ["nobody"]).done_count == 0
    assert [own.key for own in world.actions(State.STATE_DONE)] == keys[:3]
    assert [own.key for own in world.actions(State.STATE_GIVEN_UP)] == keys[3:4]
    # Scores of January are older than a week.
    world.plan("2", book | {"name": "short", "valid_days": 7}, scores=given(("zoe", 0.9)))
    assert world.actions(playbook="short") == []
    assert [own.learner_id for own in world.actions(State.STATE_EXPIRED, "short")] == ["zoe"]
    # It counts to no limit, and the same one is not planned again.
    assert world.plan("3", book | {"name": "short", "valid_days": 7}, scores=given(("zoe", 0.9))).cooling_count == 1
    assert world.plan("4", book | {"name": "short", "valid_days": 7}, scores=given(("zoe", 0.9), day=1)).action_count


def test_the_forgotten_leave_no_enrolment_and_no_action(world: World) -> None:
    book = BOOK | {"holdout_share": 0.0}
    world.plan("1", book, scores=given(("ada", 0.9), ("ben", 0.9)))
    request = analyzer_pb2.DeleteLearnerRequest(learner_id="ada", request_id="d")
    assert world.server.analyzer.DeleteLearner(request, timeout=60).intervention_count == 1
    assert [own.learner_id for own in world.actions()] == ["ben"]
    left = world.server.room.interventions.enrolments(playbook_of(interventions_pb2.Playbook(**book)))
    assert [own.learner_id for own in left] == ["ben"]


def test_what_was_planned_outlives_the_server(tmp_path: Path) -> None:
    counts = []
    for _ in range(2):
        server = ServedHere(data_directory=tmp_path / "data")
        with Client(data=f"127.0.0.1:{server.data_port}", timeout_seconds=60) as client:
            request = Asked(
                playbook=interventions_pb2.Playbook(**(BOOK | {"holdout_share": 0.0})),
                request_id=f"r{len(counts)}", scores=given(("ada", 0.9)),
            )  # fmt: skip
            counts.append(client.plan_interventions(request).action_count)
            assert len(list(client.list_intervention_actions())) == 1
        server.stop()
    assert counts == [1, 0]


def test_servers_that_share_a_store_plan_each_action_once(cluster: Cluster, tmp_path: Path) -> None:
    """Eight requests at once to two servers over one PostgreSQL: under ids of their own, then under one id."""
    url = cluster.database()
    servers = [ServedHere(data_directory=tmp_path / f"data{number}", store_url=url) for number in range(2)]
    clients = [Client(data=f"127.0.0.1:{server.data_port}", timeout_seconds=240) for server in servers]
    scores = given(*((f"n{number}", 0.9) for number in range(100)))

    def plan(number: int, name: str, request_id: str) -> int:
        book = interventions_pb2.Playbook(**(BOOK | {"name": name}))
        request = Asked(playbook=book, scores=scores, request_id=request_id, quiet_days=0)
        return clients[number % 2].plan_interventions(request).action_count

    with ThreadPoolExecutor(8) as pool:
        own = list(pool.map(lambda number: plan(number, "own", f"own-{number}"), range(8)))
        same = list(pool.map(lambda number: plan(number, "same", "one"), range(8)))
    assert sum(own) == max(own) > 60
    assert len(set(same)) == 1 and same[0] > 60
    listed = [[action.key for action in client.list_intervention_actions()] for client in clients]
    assert listed[0] == listed[1] and len(set(listed[0])) == len(listed[0]) == max(own) + same[0]
    assert clients[1].advance_intervention_actions([*listed[0][:5], "a\0b"]).done_count == 5
    learner = next(clients[0].list_intervention_actions()).learner_id
    request = analyzer_pb2.DeleteLearnerRequest(learner_id=learner, request_id="d")
    assert servers[1].analyzer.DeleteLearner(request, timeout=60).intervention_count >= 1
    assert learner not in {action.learner_id for action in clients[0].list_intervention_actions()}
    for client, server in zip(clients, servers, strict=True):
        client.close()
        server.stop()


@pytest.mark.parametrize(
    ("book", "fields", "code", "words"),
    [
        ({}, {}, "INVALID_ARGUMENT", "source: give scores, or churn"),
        ({"name": "a b"}, {"scores": given()}, "INVALID_ARGUMENT", "playbook 'a b'"),
        ({"action": ""}, {"scores": given()}, "INVALID_ARGUMENT", "says nothing that is to be done"),
        ({"min_probability": 2.0}, {"scores": given()}, "INVALID_ARGUMENT", "min_probability is 2"),
        ({"reasons": ["mood"]}, {"scores": given()}, "INVALID_ARGUMENT", "reason 'mood'"),
        ({"parameters": {"rate": float("nan")}}, {"scores": given()}, "INVALID_ARGUMENT", "playbook: "),
        ({"holdout_share": 0.95}, {"scores": given()}, "INVALID_ARGUMENT", "holdout_share is 0.95"),
        ({"valid_days": -1}, {"scores": given()}, "INVALID_ARGUMENT", "valid_days: -1 is below 0"),
        ({}, {"scores": given(), "quiet_days": -1}, "INVALID_ARGUMENT", "quiet_days: -1 is not 0 to 3650"),
        ({}, {"scores": given(("ada", float("nan")))}, "INVALID_ARGUMENT", "a number from 0 to 1"),
        ({}, {"scores": given(("ada", 0.5), ("ada", 0.5))}, "INVALID_ARGUMENT", "a learner is scored twice"),
        ({}, {"scores": given(("a\0b", 0.5))}, "INVALID_ARGUMENT", "holds a zero character"),
        ({}, {"scores": given(("", 0.5))}, "INVALID_ARGUMENT", "learner_id: missing"),
        ({}, {"scores": {}}, "INVALID_ARGUMENT", "scores.as_of: is required"),
        ({}, {"churn": {"dataset": "datasets/none", "model": "churnModels/c@1"}}, "NOT_FOUND", "does not exist"),
    ],
)
def test_plans_that_are_refused_write_nothing(
    refusing: World, book: dict[str, Any], fields: dict[str, Any], code: str, words: str
) -> None:
    refused = refusal_of(refusing, "r", BOOK | book, **fields)
    assert refused.code is grpc.StatusCode[code] and words in refused.message
    assert refusing.actions() == []


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("refusing") / "data"
    server = ServedHere(data_directory=directory)
    yield World(server, directory)
    server.stop()


def test_changed_playbooks_and_effects_of_nothing_are_refused(world: World) -> None:
    stub = interventions_pb2_grpc.InterventionServiceStub(world.server.data_channel)

    def effect(book: dict[str, Any]) -> Any:
        asked = interventions_pb2.ReportInterventionEffectRequest(dataset=NAME, playbook=book)
        return refusal(stub.ReportInterventionEffect, asked, timeout=240)

    assert effect(BOOK).reason == "NOBODY_ENROLLED"
    assert refusal_of(world, "").code is grpc.StatusCode.INVALID_ARGUMENT
    world.plan("1", scores=given(("ada", 0.9), day=200))
    changed = BOOK | {"action": "call"}
    assert refusal_of(world, "2", changed, scores=given(("ben", 0.9))).reason == "PLAYBOOK_CHANGED"
    assert effect(changed).reason == "PLAYBOOK_CHANGED"
    assert "has had 28 days yet" in effect(BOOK).message
    all_helped = BOOK | {"name": "all", "holdout_share": 0.0}
    world.plan("3", all_helped, scores=given(("ada", 0.9), day=200), quiet_days=0)
    assert "holds nobody out" in effect(all_helped).message


def test_whole_numbers_of_parameters_stay_whole() -> None:
    message = interventions_pb2.Playbook(**(BOOK | {"parameters": {"days": 3, "rate": 0.5, "to": ["a", 2]}}))
    assert MessageToDict(message.parameters)["days"] == 3.0
    parameters = playbook_of(message).parameters
    assert json.dumps(parameters, sort_keys=True) == '{"days": 3, "rate": 0.5, "to": ["a", 2]}'
