"""A real server with tokens, rollouts driven in virtual time, a dashboard before it, and browsers without a screen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import httpx

from covey.access.credentials import Credential, digest, new_token, text_of
from covey.access.principals import Principal, Role
from covey.client import Client, Security
from covey.demo.learners import read_event_table
from covey.demo.setup import discover, store_events
from covey.generate import GenerationPlan, write_parquet
from covey.rollout.spec import load_spec
from covey_dashboard.config import Config
from covey_dashboard.dashboard import Dashboard
from covey_server.config import Address, ServerConfig
from covey_server.wiring import AnalyzerServer

FREE = Address("127.0.0.1", 0)
PEOPLE: dict[str, tuple[set[Role], set[str]]] = {
    "vera": ({Role.VIEWER}, set()),
    "olga": ({Role.OPERATOR}, set()),
    "edda": ({Role.APPROVER}, {"engineering"}),
    "otto": ({Role.APPROVER, Role.OPERATOR}, {"operations"}),
    "inga": ({Role.INGEST}, set()),
    "adam": ({Role.ADMIN}, set()),
    "controller-1": ({Role.CONTROLLER}, set()),
    "the-dashboard": ({Role.VIEWER}, set()),
}


class Site:
    """Everything that is needed to look at a rollout.

    Attributes:
        tokens: secrets by name.
        dashboard: in this process.
        model: name of the cohort model, once there is one.
        server: in this process; None while it is dead.
    """

    def __init__(self, directory: Path, worlds: ModuleType, *, has_tokens: bool = True) -> None:
        self._directory = directory
        self._worlds = worlds
        self.clock = worlds.Clock()
        self.tokens: dict[str, str] = {}
        self._controllers: dict[str, Any] = {}
        self._known: dict[str, Credential] = {}
        self.tokens_file = directory / "tokens.json" if has_tokens else None
        for name, (roles, signs_for) in PEOPLE.items():
            self.tokens[name] = new_token()
            principal = Principal(name, frozenset(roles), frozenset(signs_for))
            self._known[name] = Credential(f"id-{name}", principal, digest(self.tokens[name]))
        self._write_tokens()
        self.control, self.data = FREE, FREE
        self.server: AnalyzerServer | None = None
        self.model = ""
        self.start_server()
        self._port = 0
        self.start_dashboard()

    def start_server(self) -> None:
        """Start the server, where it was before."""
        config = ServerConfig(
            data_directory=self._directory / "data",
            listen=self.data,
            control_listen=self.control,
            metrics_listen=FREE,
            tokens=self.tokens_file,
            ballast_kilobytes=64,
        )
        self.server = AnalyzerServer(config, self.clock, self.clock.seconds)
        self.data = Address("127.0.0.1", self.server.data_port)
        self.control = Address("127.0.0.1", self.server.control_port)

    def start_dashboard(self) -> None:
        """Start the dashboard, where it was before."""
        security = Security(token=self.tokens["the-dashboard"]) if self.tokens_file else Security()
        addresses = {"control": str(self.control), "data": str(self.data)}
        self.dashboard = Dashboard(
            Config(port=self._port, security=security, call_seconds=2.0, **addresses), clock=self.clock
        )
        self._port = self.dashboard.port

    def stop_dashboard(self) -> None:
        """Take the dashboard away."""
        self.dashboard.stop()

    def stop_server(self) -> None:
        """Take the server away."""
        assert self.server is not None
        self.server.stop()
        self.server = None

    def close(self) -> None:
        for controller in self._controllers.values():
            controller.client.close()
        self.dashboard.stop()
        if self.server is not None:
            self.server.stop()

    def revoke(self, name: str) -> None:
        """Take somebody's token back."""
        del self._known[name]
        self._write_tokens()

    def client(self, name: str) -> Client:
        """A client that calls as somebody."""
        security = Security(token=self.tokens[name]) if self.tokens_file else Security()
        return Client(control=str(self.control), data=str(self.data), actor=name, security=security)

    def create(self, name: str, *, sign: bool = True, start: bool = True, plan: str = "") -> None:
        """A rollout of the plan of tests/worlds.py, signed and started."""
        spec = load_spec(plan or self._worlds.plan(tick="1m"), "plan.yaml")
        with self.client("olga") as olga:
            olga.create_rollout(name, spec)
        if sign:
            for person, role in (("edda", "engineering"), ("otto", "operations")):
                with self.client(person) as signer:
                    signer.approve_rollout(name, "canary", role, reason="looked at the rehearsal")
        if start:
            with self.client("olga") as olga:
                olga.start_rollout(name, reason="release 7")

    def tick(self, name: str, times: int, until: Any = None, **traffic: Any) -> Any:
        """So many looks of the controller of a rollout, at traffic of these attributes from now on."""
        controller = self._controllers.get(name)
        if controller is None:
            client = self.client("controller-1")
            controller = self._controllers[name] = self._worlds.Controller(client, self.clock)
        for attribute, value in traffic.items():
            setattr(controller.traffic, attribute, value)
        return controller.tick(name, times, until)

    def discover(self) -> None:
        """Find the cohorts of made-up learners; `model` is then the model's name."""
        events = self._directory / "events.parquet"
        write_parquet(GenerationPlan(learner_count=400, seed=7), events)
        with self.client("adam") as adam:
            store_events(adam, read_event_table(events))
            self.model = discover(adam).name.removeprefix("cohortModels/")

    def later(self, **span: float) -> None:
        """Move the wall clock."""
        self.clock.now += timedelta(**span)

    @contextmanager
    def browser(self, name: str = "") -> Iterator[httpx.Client]:
        """A browser without scripts, logged in as somebody."""
        with httpx.Client(base_url=self.dashboard.url, timeout=20.0) as browser:
            if name:
                answer = log_in(browser, self.tokens[name] if self.tokens_file else name)
                assert answer.status_code == 303, answer.text
            yield browser

    def _write_tokens(self) -> None:
        if self.tokens_file is not None:
            temporary = self.tokens_file.with_suffix(".new")
            temporary.write_text(text_of(self._known.values()))
            temporary.replace(self.tokens_file)


def log_in(browser: httpx.Client, secret: str, following: str = "/") -> httpx.Response:
    """Fill in the form and send it."""
    page = browser.get("/login", params={"next": following})
    field = "token" if 'name="token"' in page.text else "name"
    return browser.post("/login", data={**hidden(page.text), field: secret})


def hidden(html: str) -> dict[str, str]:
    """The hidden fields of the last form of a page."""
    form = html[html.rindex("<form") :]
    return dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', form))


def press(browser: httpx.Client, path: str, **fields: str) -> httpx.Response:
    """Press a button and confirm it."""
    page = browser.get(path)
    assert page.status_code == 200, page.text
    return browser.post(urlsplit(path).path, data={**hidden(page.text), **fields})


def buttons(html: str) -> list[str]:
    """Paths behind the buttons of a page."""
    return [
        path.replace("&amp;", "&") for path in re.findall(r'<a class="button[^"]*" href="([^"]*)" data-confirm', html)
    ]
