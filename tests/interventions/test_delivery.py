"""`covey intervene deliver --server`: what waits on a real server told to a real receiver, whoever dies in between."""

from __future__ import annotations

import hmac
import json
import os
import shlex
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from controller.receivers import Receiver, receiver
from docs.reading import PROJECT, commands
from programs import free_port
from server.running import ServedHere
from typed import run
from waiting import wait_until

from covey.client import Client
from covey.interventions import Candidates, Outbox, Playbook
from covey.v1 import interventions_pb2

DAY_US = 86_400_000_000
START_US = 1_767_571_200_000_000
COUNT = 12
State = interventions_pb2.InterventionAction


class World:
    """A server with actions that wait."""

    def __init__(self, directory: Path) -> None:
        self.server = ServedHere(data_directory=directory)
        self.address = f"127.0.0.1:{self.server.data_port}"
        self.client = Client(data=self.address, timeout_seconds=60)

    def plan(self, name: str = "welcome-back", count: int = COUNT, day: int = 0, **fields: Any) -> list[str]:
        """Plan so many new actions; keys of those of the playbook that wait."""
        book = {"name": name, "min_probability": 0.2, "action": "send_message", "holdout_share": 0.0} | fields
        scores = interventions_pb2.InterventionScores()
        scores.as_of.FromMicroseconds(START_US + day * DAY_US)
        for number in range(count):
            scores.scores.add(learner_id=f"{name}-{day}-{number}", probability=0.9, variant="m@1:aa")
        request = interventions_pb2.PlanInterventionsRequest(
            playbook=interventions_pb2.Playbook(**book), scores=scores, request_id=f"{name} {day}"
        )
        assert self.client.plan_interventions(request).action_count == count
        return self.keys(playbook=name)

    def keys(self, state: Any = State.STATE_WAITING, playbook: str = "") -> list[str]:
        return [own.key for own in self.client.list_intervention_actions(state, playbook)]

    def arguments(self, sink: Receiver, *more: str) -> list[str]:
        return ["intervene", "deliver", "--server", self.address, "--webhook", sink.url, *more]

    def start(self, sink: Receiver, *more: str, fault: str = "") -> subprocess.Popen[str]:
        """The command as a process of its own."""
        return typed(self.arguments(sink, *more), fault)


def typed(arguments: list[str], fault: str = "") -> subprocess.Popen[str]:
    """A command of covey's, as a process."""
    return subprocess.Popen(
        [sys.executable, "-m", "covey.cli", *arguments], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | ({"COVEY_FAULT": fault} if fault else {}),
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit status and what was printed."""
    with process:
        try:
            out, err = process.communicate(timeout=240)
        finally:
            process.kill()
    return process.returncode, out, err


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "data")
    yield made
    made.client.close()
    made.server.stop()


def test_every_action_is_told_signed_and_noted(
    world: World, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    keys = world.plan()
    bodies = {own.key: own.body for own in world.client.list_intervention_actions()}
    (tmp_path / "secret").write_text("s3cret\n")
    with receiver() as sink:
        status, out, err = run(capsys, *world.arguments(sink, "--secret-file", str(tmp_path / "secret")))
        assert (status, err) == (0, "") and f"{COUNT} actions told, 0 given up, 0 expired, 0 wait." in out
        assert sink.keys == keys == world.keys(State.STATE_DONE) and world.keys() == []
        for headers, body in sink.posts:
            moment, _, digest = headers["Covey-Signature"].partition(",v1=")
            assert hmac.new(b"s3cret", f"{moment[2:]}.".encode() + body, sha256).hexdigest() == digest
            assert bodies[headers["Covey-Dedupe-Key"]].encode() == body
        status, out, _ = run(capsys, *world.arguments(sink, "--output", "json"))
        assert status == 0 and json.loads(out)["told_count"] == 0 and len(sink.posts) == COUNT


@pytest.mark.e2e
def test_one_that_is_killed_after_telling_tells_again_under_the_same_key(world: World) -> None:
    """kill -9 between the receiver's answer and the note of it; a receiver that keeps keys does nothing twice."""
    keys = world.plan()
    with receiver() as sink:
        assert ended(world.start(sink, fault="intervention.told:kill:4"))[0] == -signal.SIGKILL
        assert (sink.keys, world.keys(State.STATE_DONE)) == (keys[:4], keys[:3])
        assert ended(world.start(sink))[0] == 0
        # The twin: without the key the double could not be told from another action.
        assert Counter(sink.keys) == Counter(keys) + Counter([keys[3]])
        first, second = (body for headers, body in sink.posts if headers["Covey-Dedupe-Key"] == keys[3])
        assert first == second
    assert world.keys(State.STATE_DONE) == keys and world.keys() == []


@pytest.mark.e2e
def test_the_same_holds_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "actions.sqlite"
    ids = [f"l{number}" for number in range(6)]
    box = Outbox(path)
    scores = Candidates(START_US, ids, [0.9] * 6, [["silence"]] * 6, ["m@1:aa"] * 6)
    keys = [own.key for own in box.plan(Playbook("book", 0.2, "send_message", holdout_share=0.0), scores).actions]
    with receiver() as sink:
        command = ["intervene", "deliver", "--outbox", str(path), "--webhook", sink.url]
        assert ended(typed(command, "intervention.told:kill:3"))[0] == -signal.SIGKILL
        assert len(sink.keys) == 3 and box.count("told") == 2
        assert ended(typed(command))[0] == 0
        assert Counter(sink.keys) == Counter(keys) + Counter([sink.keys[2]])
    assert box.counts("book") == {"told": 6}
    box.close()


@pytest.mark.e2e
def test_two_at_once_lose_nothing_and_count_nothing_twice(world: World) -> None:
    keys = world.plan(count=60)
    with receiver() as sink:
        both = [world.start(sink, "--output", "json") for _ in range(2)]
        answers = [ended(own) for own in both]
        assert [status for status, *_ in answers] == [0, 0]
        told = [json.loads(out)["told_count"] for _, out, _ in answers]
        assert set(sink.keys) == set(keys) and len(sink.keys) == sum(told) >= len(keys)
        assert max(Counter(sink.keys).values()) <= 2
    assert sorted(world.keys(State.STATE_DONE)) == sorted(keys) and world.keys() == []


def test_a_receiver_that_is_ill_ends_the_pass_and_loses_nothing(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("covey.webhook.POST_SECONDS", 0.5)
    keys = world.plan()
    # Answered with 500; never answered; taken without an answer: each ends a pass.
    with receiver([204, 500, "hang", "drop"]) as sink:
        for told in (1, 0, 0):
            status, out, err = run(capsys, *world.arguments(sink))
            assert status == 1 and "deliver again later, nothing is lost" in err
            assert f"{told} actions told, 0 given up, 0 expired, {COUNT - 1} wait." in out
        assert world.keys() == keys[1:]
        status, out, _ = run(capsys, *world.arguments(sink))
        assert status == 0 and f"{COUNT - 1} actions told" in out
        assert Counter(sink.keys) == Counter(keys) + Counter([keys[1]])  # the one that was dropped


def test_an_action_that_is_refused_lets_the_others_pass_and_is_given_up_where_that_is_asked_for(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = world.plan()
    with receiver([400]) as sink:
        status, out, err = run(capsys, *world.arguments(sink))
        assert status == 1 and "answered 400; deliver again later, nothing is lost" in err
        assert f"{COUNT - 1} actions told, 0 given up, 0 expired, 1 wait." in out and world.keys() == keys[:1]
    with receiver([400]) as sink:
        status, _, err = run(capsys, *world.arguments(sink, "--give-up-after", "1"))
        assert status == 1 and "1 given up after too many refusals" in err
    assert world.keys(State.STATE_GIVEN_UP) == keys[:1] and world.keys() == []


def test_one_playbook_alone_and_nothing_that_is_too_old(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = world.plan("first", 3), world.plan("second", 2)
    assert world.plan("old", 2, valid_days=7) == []  # its scores are of another year
    with receiver() as sink:
        assert run(capsys, *world.arguments(sink, "--playbook", "second"))[0] == 0
        assert sink.keys == second and world.keys() == first


@pytest.mark.e2e
def test_it_goes_on_until_it_is_told_to_stop(world: World) -> None:
    """As docs/interventions.md has it: what is planned later is told as well; a receiver that is ill is asked again."""
    page = [own.bare for own in commands(PROJECT / "docs" / "interventions.md") if "deliver --server" in own.bare]
    with receiver([503]) as sink:
        places = {"127.0.0.1:50051": world.address, "http://127.0.0.1:8099/actions": sink.url, "30s": "0.2s"}
        once, process = (typed([places.get(word, word) for word in shlex.split(command)[1:]]) for command in page)
        assert ended(once)[0] == 0
        try:
            first = world.plan(count=3)
            wait_until(lambda: world.keys(State.STATE_DONE) == first, 120)
            world.plan(count=2, day=1)
            wait_until(lambda: len(world.keys(State.STATE_DONE)) == 5, 120)
            assert sink.keys == world.keys(State.STATE_DONE)
        finally:
            process.send_signal(signal.SIGTERM)
            status, out, err = ended(process)
    assert status == 0 and "told" in out and "answered 503; again in 0.2 s" in err


@pytest.mark.parametrize(
    ("more", "status", "words"),
    [
        (["--outbox", "o.sqlite"], 1, "expected one of --outbox FILE and --server HOST:PORT"),
        (["--every", "no"], 2, "--every"),
        (["--timeout", "0"], 2, "--timeout"),
        (["--cert", "c.pem"], 2, "key"),
    ],
)
def test_what_does_not_go_together_is_refused(
    world: World, capsys: pytest.CaptureFixture[str], more: list[str], status: int, words: str
) -> None:
    with receiver() as sink:
        found, _, err = run(capsys, *world.arguments(sink, *more))
        assert (found, sink.posts) == (status, []) and words in err


def test_a_file_has_no_options_of_a_server_and_no_server_is_status_5(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["intervene", "deliver", "--webhook", "http://127.0.0.1:9/"]
    assert "expected one of --outbox" in run(capsys, *command)[2]
    assert "go with --server" in run(capsys, *command, "--outbox", "o", "--playbook", "p")[2]
    status, out, err = run(capsys, *command, "--server", f"127.0.0.1:{free_port()}", "--timeout", "1s")
    assert status == 5 and "what to do" in err and "of a data port with --server" in err
    assert "how many wait is not known" in out


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a",
        "http://",
        "http://[::1",
        "http://a:99999/",
        "http://a:b/",
        "http://a/é",
        "http://a/ b",
        "http://u:p@a/",
    ],
)
def test_a_webhook_that_can_never_be_asked_is_refused_at_once(capsys: pytest.CaptureFixture[str], url: str) -> None:
    status, _, err = run(capsys, "intervene", "deliver", "--webhook", url, "--server", "127.0.0.1:9", "--every", "1s")
    assert status == 1 and err.startswith("covey: --webhook: expected http://HOST:PORT/path")


def test_a_secret_is_any_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"\xfc\xff\n")
    command = ["intervene", "deliver", "--webhook", "http://127.0.0.1:9/", "--secret-file", path]
    status, _, err = run(capsys, *command, "--outbox", tmp_path / "none.sqlite")
    assert status == 1 and "none.sqlite: no such file" in err
