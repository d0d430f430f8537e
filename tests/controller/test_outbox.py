"""Every transition reaches every sink at least once, in order, under one key; a dead sink delays nobody."""

from __future__ import annotations

import hashlib
import hmac
import logging
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from waiting import wait_until

from covey.webhook import SinkError, post
from covey_controller.client import ControlClient, LeaseError, open_channel
from covey_controller.config import parse_arguments
from covey_controller.failures import ConfigError
from covey_controller.options import SECRET_VARIABLE
from covey_controller.outbox.message import Message
from covey_controller.outbox.sender import FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS, MOST_REFUSALS, Sender
from covey_controller.outbox.sinks import AppriseSink, Sink, Webhook

from .receivers import receiver
from .world import NAME, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "data")
    yield made
    made.close()


@pytest.fixture
def client(world: World) -> Iterator[ControlClient]:
    with open_channel(world.control) as channel:
        yield ControlClient(channel, actor="one", call_seconds=10.0)


def story(world: World, client: ControlClient) -> int:
    """A few transitions; the epoch of the lease."""
    world.begin()
    for _ in range(3):
        world.client.pause_rollout(NAME, reason="lunch")
        world.client.resume_rollout(NAME)
    return client.acquire_lease("analyzer", "one", 60.0)


def keys(world: World, sink: str = "webhook") -> list[str]:
    """Of every transition of the journal."""
    kinds = [(entry.sequence, entry.WhichOneof("payload")) for entry in world.entries()]
    return [f"{NAME}/{sequence}/{sink}" for sequence, kind in kinds if kind not in {"tick", "checkpoint"}]


def sender(client: Any, epoch: int | None, sink: Sink) -> Sender:
    return Sender(sink, client, "analyzer", lambda: epoch, Random(7))


def hook(url: str, secret: bytes | None = None) -> Webhook:
    return Webhook(url, lambda: 1_767_600_000.0, secret)


def passes(one: Sender, done: Callable[[], bool], most: int = 200) -> None:
    for _ in range(most):
        if done():
            return
        one.pass_once()
    raise AssertionError("not told within so many passes")


def test_every_transition_is_told_once_and_in_order(world: World, client: ControlClient) -> None:
    epoch = story(world, client)
    with receiver() as received:
        one = sender(client, epoch, hook(received.url))
        assert one.pass_once() == 0.0
        assert one.pass_once() > 0, "there is nothing left"
        assert received.keys == keys(world)
        assert [body["event"] for body in received.bodies][:3] == ["created", "started", "paused"]
        assert received.bodies[2]["text"] == "paused: lunch"
        world.client.abort_rollout(NAME, reason="no")
        sender(client, epoch, hook(received.url)).pass_once()
        assert received.keys == keys(world), "another process goes on from the server's cursor"


def test_since_when_a_sink_waits_is_told(world: World, client: ControlClient) -> None:
    epoch = story(world, client)
    waits: list[float] = []
    with receiver([500]) as received:
        sink = hook(received.url)
        one = Sender(sink, client, "analyzer", lambda: epoch, Random(7), untold=lambda _, oldest: waits.append(oldest))
        passes(one, lambda: len(waits) > 2 and waits[-1] == 0)
    first = world.entries()[0].time.ToMicroseconds() / 1e6
    assert waits[:2] == [first, first], "what was not taken waits on"
    resting = Sender(sink, client, "analyzer", lambda: None, Random(7), untold=lambda _, oldest: waits.append(oldest))
    waits[:] = [1.0]
    resting.pass_once()
    assert waits[-1] == 0, "another controller tells"


def test_failures_of_every_kind_lose_nothing(world: World, client: ControlClient) -> None:
    epoch = story(world, client)
    with receiver([500, 204, "drop", 503, 429, 204, "drop", 302]) as received:
        one = sender(client, epoch, hook(received.url))
        passes(one, lambda: set(received.keys) == set(keys(world)) and not received.script)
        one.pass_once()
        told = received.keys
    assert list(dict.fromkeys(told)) == keys(world), "in order"
    assert len(told) == len(keys(world)) + 2, "those whose answer was lost are told again"
    bodies = {key: {body for headers, body in received.posts if headers["Covey-Dedupe-Key"] == key} for key in told}
    assert all(len(found) == 1 for found in bodies.values()), "the same bytes under the same key"


class KilledError(BaseException):
    """The process ends here."""


class Dying:
    """A client of a process that dies after telling, before its cursor moves."""

    def __init__(self, client: ControlClient, lives: int) -> None:
        self._client = client
        self._lives = lives

    def pull_notifications(self, *arguments: Any) -> Any:
        return self._client.pull_notifications(*arguments)

    def advance_notifications(self, *arguments: Any) -> None:
        if self._lives == 0:
            raise KilledError
        self._lives -= 1
        self._client.advance_notifications(*arguments)


def test_a_process_that_dies_in_between_costs_a_double_under_the_same_key(world: World, client: ControlClient) -> None:
    epoch = story(world, client)
    deaths = 0
    with receiver() as received:
        for lives in (0, 2, 1, 0):
            with pytest.raises(KilledError):
                sender(Dying(client, lives), epoch, hook(received.url)).pass_once()
            deaths += 1
        sender(client, epoch, hook(received.url)).pass_once()
        told = received.keys
    assert list(dict.fromkeys(told)) == keys(world)
    assert len(told) == len(keys(world)) + deaths


class Forgetful(Dying):
    """The twin: a cursor that is kept in the process only."""

    def __init__(self, client: ControlClient) -> None:
        super().__init__(client, 0)

    def advance_notifications(self, *_arguments: Any) -> None:
        """Moves nothing."""


def test_without_a_durable_cursor_the_next_process_tells_everything_again(world: World, client: ControlClient) -> None:
    epoch = story(world, client)
    with receiver() as received:
        for _ in range(3):
            sender(Forgetful(client), epoch, hook(received.url)).pass_once()
        assert len(received.keys) == 3 * len(keys(world))


def test_a_dead_sink_and_one_that_hangs_delay_neither_another_nor_the_loop(world: World) -> None:
    world.begin()
    with receiver(["hang"] * 100) as hanging, receiver() as good, world.controller() as loop:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            dead = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with open_channel(world.control) as channel:
            client = ControlClient(channel, actor="one", call_seconds=10.0)
            sinks: list[Sink] = [Webhook(url, lambda: 0.0, None, name) for url, name in (
                (hanging.url, "hanging"), (dead, "dead"), (good.url, "webhook"),
            )]  # fmt: skip
            senders = [Sender(sink, client, "analyzer", lambda: loop.epoch, Random(1)) for sink in sinks]
            for one in senders:
                one.start()
            world.run(loop, lambda: world.state().is_terminal)
            assert wait_until(lambda: good.keys == keys(world), 30)
            for one in senders:
                one.stop()
    assert good.bodies[-1]["event"] == "finished", "told after the rollout ended"


def test_a_message_that_its_sink_refuses_for_good_is_given_up(
    world: World, client: ControlClient, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("covey_controller").propagate = True
    epoch = story(world, client)
    seen: list[tuple[str, str]] = []
    with receiver([400] * MOST_REFUSALS) as received:
        one = Sender(hook(received.url), client, "analyzer", lambda: epoch, Random(7), lambda *what: seen.append(what))
        passes(one, lambda: received.keys == keys(world)[1:])
    assert seen[: MOST_REFUSALS + 1] == [("webhook", "failed")] * MOST_REFUSALS + [("webhook", "given_up")]
    assert "is given up, its sink refuses it: 127.0.0.1 answered 400" in caplog.text


def test_who_does_not_drive_tells_nothing(world: World, client: ControlClient) -> None:
    epoch = story(world, client)
    with receiver() as received:
        assert sender(client, None, hook(received.url)).pass_once() > 0
        client.release_lease("analyzer", "one")
        client.acquire_lease("analyzer", "two", 60.0)
        assert sender(client, epoch, hook(received.url)).pass_once() > 0
        with pytest.raises(LeaseError):
            client.pull_notifications("webhook", "analyzer", epoch)
        assert received.keys == []


def test_retries_wait_longer_each_time_with_chance_up_to_a_minute(client: ControlClient, world: World) -> None:
    epoch = story(world, client)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    one = sender(client, epoch, hook(url))
    waits = [one.pass_once() for _ in range(12)]
    longest = [min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2**n) for n in range(12)]
    assert all(most / 2 <= wait <= most for wait, most in zip(waits, longest, strict=True))
    assert len({wait / most for wait, most in zip(waits, longest, strict=True)}) > 6, "not all alike"


def test_a_post_is_signed_over_its_time_and_its_body(world: World, client: ControlClient) -> None:
    epoch = story(world, client)
    with receiver() as received:
        sender(client, epoch, hook(received.url, b"hush")).pass_once()
        headers, body = received.posts[0]
    parts = dict(part.split("=", 1) for part in headers["Covey-Signature"].split(","))
    assert parts["t"] == "1767600000"
    assert parts["v1"] == hmac.new(b"hush", b"1767600000." + body, hashlib.sha256).hexdigest()
    assert parts["v1"] != hmac.new(b"hush", b"1767600001." + body, hashlib.sha256).hexdigest()


def test_secrets_are_in_no_message_and_no_picture(tmp_path: Path) -> None:
    made = hook("http://user:pw@127.0.0.1:1/T0KEN", b"hush")
    assert "hush" not in repr(made)
    assert "T0KEN" not in repr(made)
    with pytest.raises(SinkError) as failed:
        post("http://127.0.0.1:1/T0KEN", b"{}", {})
    assert "T0KEN" not in str(failed.value)


def test_the_options_name_the_sinks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hush\n")
    options = ["--webhook", "http://127.0.0.1:1/x", "--alertmanager", "http://127.0.0.1:9093"]
    config = parse_arguments([*options, "--webhook-secret-file", str(secret)])
    assert [sink.name for sink in config.sinks] == ["webhook", "alertmanager"]
    assert config.sinks[0].secret == b"hush"  # type: ignore[attr-defined]
    assert "hush" not in repr(config)
    monkeypatch.setenv(SECRET_VARIABLE, "from the environment")
    assert parse_arguments(options).sinks[0].secret == b"from the environment"  # type: ignore[attr-defined]
    assert parse_arguments([]).sinks == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--webhook", "ftp://x/"], "--webhook: expected http://"),
        (["--alertmanager", "127.0.0.1:9093"], "--alertmanager: expected http://"),
        (["--webhook", "http://x/", "--webhook-secret-file", "/nowhere"], "/nowhere: No such file"),
        (["--webhook-secret-file", "/nowhere"], "signs nothing without --webhook"),
        (["--apprise-file", "/nowhere"], "/nowhere: No such file"),
    ],
)
def test_sinks_that_cannot_be_are_wrong_usage(options: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_arguments(options)


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_apprise_tells_what_it_is_given(world: World, client: ControlClient) -> None:
    pytest.importorskip("apprise", reason="covey[notify] is not installed")
    epoch = story(world, client)
    with receiver([200, 500]) as received:
        sink = AppriseSink([received.url.replace("http://", "json://")])
        message = Message.of(client.pull_notifications("apprise", "analyzer", epoch)[2])
        sink.send(message)
        (told,) = received.bodies
        with pytest.raises(SinkError, match="behind apprise"):
            sink.send(message)
    assert told["title"] == NAME
    assert told["message"] == f"paused: lunch\n{NAME}/3/apprise"
    with pytest.raises(ValueError, match="line 1"):
        AppriseSink(["nonsense"])
