"""Server-sent events over HTTP: what changed and nothing else, bounded, and ended with the session."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from waiting import wait_until

from covey.demo.stack import Stack
from covey.demo.supervisor import Supervisor
from covey_dashboard.following import Followers
from covey_dashboard.gateway import Gateway
from covey_dashboard.http.streams import MOST_OF_ONE_SESSION

from .site import Site
from .test_http import ROLLOUT


def events(answer: httpx.Response) -> Iterator[tuple[str, Any]]:
    """(event, data) of a stream."""
    event = ""
    for line in answer.iter_lines():
        if line.startswith("event: "):
            event = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield event, json.loads(line.removeprefix("data: "))


def test_a_stream_tells_what_has_changed_and_nothing_else(site: Site) -> None:
    site.create("native")
    site.tick("native", 3, requests_per_second=40.0)
    with site.browser("olga") as browser, browser.stream("GET", f"{ROLLOUT}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = events(answer)
        event, data = next(told)
        assert event == "parts"
        assert {"server", "answer", "buttons", "criteria", "story"} <= data["parts"].keys()
        if "Created" not in data["parts"]["story"]:  # the journal was being read
            next(data for _, data in told if "Created" in data["parts"].get("story", ""))
        site.tick("native", 1)
        changed = next(data["parts"] for _, data in told if "criteria" in data["parts"])
        assert "story" not in changed  # a look is no news in the story
        assert "people-buttons" not in changed
        site.stop_server()
        lost = next(data["parts"] for _, data in told if data["parts"].get("server"))
        assert "The server does not answer" in lost["server"]


def test_a_stream_ends_with_its_session(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("covey_dashboard.sessions.CHECK_SECONDS", 0.0)
    monkeypatch.setattr("covey_dashboard.http.streams.BEAT_SECONDS", 0.1)
    with site.browser("vera") as browser, browser.stream("GET", "/events") as answer:
        told = events(answer)
        assert next(told)[0] == "parts"
        site.revoke("vera")
        assert next(event for event, _ in told if event != "parts") == "ended"


def test_one_session_has_few_streams_and_gets_its_places_back(site: Site) -> None:
    with site.browser("vera") as browser:
        with ExitStack() as streams:
            told = [events(streams.enter_context(browser.stream("GET", "/events"))) for _ in range(MOST_OF_ONE_SESSION)]
            assert [next(each)[0] for each in told] == ["parts"] * MOST_OF_ONE_SESSION
            with browser.stream("GET", "/events") as refused:
                assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")

        def is_taken() -> bool:
            with browser.stream("GET", "/events") as answer:
                return answer.status_code == 200

        wait_until(is_taken)


def test_a_stopping_dashboard_ends_its_streams(site: Site) -> None:
    with site.browser("vera") as browser, browser.stream("GET", "/events") as answer:
        told = events(answer)
        next(told)
        site.stop_dashboard()
        for _ in told:
            pass
    site.start_dashboard()


def test_only_so_many_rollouts_are_followed(site: Site) -> None:
    for name in ("one", "two", "three"):
        site.create(name, start=False)
    followers = Followers(site.dashboard.desk.gateway, lambda _: None, most=2)
    try:
        first = followers.follow("one")
        wait_until(lambda: first.seen.history)
        assert followers.follow("one") is first
        followers.follow("two")
        followers.follow("three")
        first.join(15.0)
        assert not first.is_alive
        assert followers.follow("one") is not first
    finally:
        followers.stop()


def test_a_journal_that_was_put_back_from_a_copy_is_read_again(site: Site, tmp_path: Path) -> None:
    site.create("native", start=False)
    site.stop_server()
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    site.start_server()
    followers = Followers(site.dashboard.desk.gateway, lambda _: None)
    try:
        follower = followers.follow("native")
        with site.client("olga") as olga:
            olga.start_rollout("native", reason="before")
        wait_until(lambda: follower.seen.history and len(follower.seen.history.events) == 4)
        site.stop_server()
        shutil.rmtree(tmp_path / "data")
        shutil.move(tmp_path / "copy", tmp_path / "data")
        site.start_server()
        wait_until(lambda: len(follower.seen.history.events) == 3, 30.0)  # type: ignore[union-attr]
        with site.client("olga") as olga:
            olga.start_rollout("native", reason="after")
        wait_until(lambda: follower.seen.history.events[-1].reason == "after")  # type: ignore[union-attr]
    finally:
        followers.stop()


def test_a_server_that_was_never_there_is_found_once_it_is(site: Site) -> None:
    site.create("native", start=False)
    site.stop_server()
    gateway = Gateway(str(site.control), str(site.data), site.dashboard.desk.gateway.security, call_seconds=0.5)
    followers = Followers(gateway, lambda _: None)
    try:
        follower = followers.follow("native")
        site.start_server()
        wait_until(lambda: follower.seen.history)
    finally:
        followers.stop()


@pytest.mark.e2e
def test_the_demonstration_has_a_dashboard(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        stack = Stack(supervisor, tmp_path)
        stack.launch_server()
        stack.await_server()
        url = stack.start_dashboard()
        wait_until(lambda: httpx.get(f"{url}healthz").text == "serving; server reached\n")
        assert "asks nobody who they are" in httpx.get(f"{url}login").text
