"""A controller and a server that know each other by TLS and token, as processes of their own would."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_until

from covey.access.certificates import CertificateFiles
from covey.access.credentials import Credential, digest, new_id, new_token
from covey.access.credentials_file import change
from covey.access.principals import Principal, Role
from covey.client import Client, Security
from covey.rollout.spec import load_spec
from covey.v1.journal_pb2 import Entry
from covey_controller.config import Replica, ScrapeLimits, parse_arguments
from covey_controller.failures import ConfigError
from covey_controller.scrape import AbsenceError, fetch
from covey_server.config import Address, ServerConfig
from covey_server.wiring import AnalyzerServer, wall_clock

FREE = Address("127.0.0.1", 0)
PLAN = """
target: analyzer
baseline: reference
candidate: native
shadow_share: 0 %
tick_interval: 1s
probe_interval: 1s
phases: [{name: canary, traffic_share: 1 %, hold: 1h, criteria: [{statement: error_rate < 1 %, margin: 0}]}]
triggers: [{statement: error_rate > 50 %, tolerance: 0, sustained: 5s}]
"""


class World:
    """A server with TLS and tokens, and what its callers need."""

    def __init__(self, directory: Path, authority: Any) -> None:
        self.directory = directory
        self.authority = authority
        self.tls = CertificateFiles(*authority.issue("server"))
        self.tokens = directory / "tokens.json"
        secrets = {role: self._token(role) for role in (Role.CONTROLLER, Role.OPERATOR, Role.INGEST)}
        self.token_file = directory / "controller-token"
        self.token_file.write_text(secrets[Role.CONTROLLER] + "\n")
        self.operator = Security(cacert=authority.file, token=secrets[Role.OPERATOR])
        self.controller = Security(cacert=authority.file, token_file=self.token_file)
        self.ingest = Security(cacert=authority.file, token=secrets[Role.INGEST])
        config = ServerConfig(directory / "data", FREE, FREE, FREE, tls=self.tls, tokens=self.tokens)
        self.server = AnalyzerServer(config, wall_clock)

    def _token(self, role: Role) -> str:
        token = new_token()
        signs_for = frozenset[str]()
        made = Credential(new_id(), Principal(role.value, frozenset({role}), signs_for), digest(token))
        change(self.tokens, lambda known: [*known.all, made])
        return token

    def replica(self, security: Security) -> Replica:
        data = f"127.0.0.1:{self.server.data_port}"
        return Replica(data, data, f"https://127.0.0.1:{self.server.metrics_port}/metrics", security)

    def entries(self) -> list[Entry]:
        with self.client() as client:
            return list(client.list_entries("x"))

    def client(self) -> Client:
        return Client(control=f"127.0.0.1:{self.server.control_port}", security=self.operator)


@pytest.fixture
def world(tmp_path: Path, authority: Any) -> Iterator[World]:
    made = World(tmp_path, authority)
    yield made
    made.server.stop()


def read(world: World, security: Security) -> str:
    return fetch(world.replica(security).metrics_url, ScrapeLimits(), security=security)


def test_the_page_of_a_server_is_read_over_tls_with_a_token(world: World) -> None:
    assert "covey_build_info" in read(world, world.controller)
    for security, words in (
        (world.ingest, "status 403"),
        (Security(cacert=world.authority.file), "status 401"),
        (Security(plaintext=False), "CERTIFICATE_VERIFY_FAILED"),
    ):
        with pytest.raises(AbsenceError, match=words):
            read(world, security)


def test_a_controller_drives_as_the_principal_of_its_token(world: World, tmp_path: Path) -> None:
    with world.client() as client:
        client.create_rollout("x", load_spec(PLAN, "plan.yaml"))
        client.start_rollout("x")
    replica = world.replica(world.controller)
    arguments = [sys.executable, "-m", "covey_controller.main", "--control", f"127.0.0.1:{world.server.control_port}"]
    arguments += ["--replica", f"data={replica.data_address},metrics={replica.metrics_url}"]
    arguments += ["--cacert", str(world.authority.file), "--token-file", str(world.token_file)]
    arguments += ["--tokens", str(world.tokens), "--tls-cert", str(world.tls.certificate)]
    arguments += ["--tls-key", str(world.tls.key), "--metrics-listen", "127.0.0.1:0"]
    arguments += ["--ports-file", str(tmp_path / "ports")]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        try:

            def is_probed() -> bool:
                return any(entry.tick.probes for entry in world.entries())

            assert wait_until(is_probed, 60)
            page = f"https://127.0.0.1:{json.loads((tmp_path / 'ports').read_text())['metrics']}/metrics"
            context = world.operator.ssl_context()
            with pytest.raises(urllib.error.HTTPError, match="401"):
                urllib.request.urlopen(page, timeout=20, context=context)
            request = urllib.request.Request(page, headers={"Authorization": f"Bearer {world.operator.token}"})
            with urllib.request.urlopen(request, timeout=20, context=context) as answer:
                assert "covey_controller_probe_total" in answer.read().decode()
        finally:
            process.kill()
    ticks = [entry for entry in world.entries() if entry.HasField("tick")]
    assert {(entry.actor, entry.actor_verified) for entry in ticks} == {("controller", True)}
    probes = [probe for entry in ticks for probe in entry.tick.probes]
    assert sum(probe.answered_count for probe in probes) > 0
    assert sum(probe.unanswered_count for probe in probes) == 0
    assert not any(entry.tick.absences for entry in ticks)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--cert", "c.pem"], "--cert goes with --key"),
        (["--tls-cert", "c.pem"], "--tls-cert goes with --tls-key"),
        (["--metrics-listen", "0.0.0.0:9465"], "beyond this machine and needs"),
        (
            ["--token-file", "t", "--replica", "data=a.example:1,metrics=http://a.example:2/metrics"],
            "does not go to http://a.example:2/metrics in plaintext",
        ),
    ],
)
def test_what_is_not_safe_is_refused(arguments: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_arguments(arguments)


def test_what_is_not_safe_can_be_asked_for() -> None:
    assert parse_arguments(["--metrics-listen", "0.0.0.0:9465", "--insecure-listen"]).metrics_address == "0.0.0.0:9465"
