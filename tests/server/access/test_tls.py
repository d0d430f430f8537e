"""TLS and client certificates on every port, and certificates that change under load."""

from __future__ import annotations

import os
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from waiting import wait_until

from covey.access.certificates import CertificateFiles
from covey.access.principals import Role
from covey.client import CallFailed, Client, Security
from covey.client.channel import open_channel
from covey.v1 import analyzer_pb2, analyzer_pb2_grpc
from covey.v1.rollouts_pb2 import ListRolloutsRequest
from covey_server.config import Address, ServerConfig
from covey_server.wiring import AnalyzerServer, wall_clock

from ..running import ServerProcess
from .known import TokensFile

FREE = Address("127.0.0.1", 0)
ROTATIONS = int(os.environ.get("COVEY_FAULTS_ROTATIONS") or "3")
INFO = analyzer_pb2.GetServerInfoRequest()
Begin = Callable[..., AnalyzerServer]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    running: list[AnalyzerServer] = []

    def start(tls: CertificateFiles, tokens: TokensFile | None = None) -> AnalyzerServer:
        config = ServerConfig(tmp_path / "data", FREE, FREE, FREE, tls=tls, tokens=tokens.path if tokens else None)
        running.append(AnalyzerServer(config, wall_clock))
        return running[-1]

    yield start
    for server in running:
        server.stop()


def info(server: AnalyzerServer, security: Security) -> str:
    """The server's version, or the code of the refusal."""
    with Client(data=f"127.0.0.1:{server.data_port}", security=security, timeout_seconds=5.0) as client:
        try:
            return client.get_server_info().version and "OK"
        except CallFailed as failure:
            return failure.code.name


def scrape(server: AnalyzerServer, security: Security, token: str = "") -> int:
    request = urllib.request.Request(f"https://127.0.0.1:{server.metrics_port}/metrics")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=20, context=security.ssl_context()) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_every_port_speaks_tls_and_no_plaintext(begin: Begin, authority: Any) -> None:
    server = begin(CertificateFiles(*authority.issue("server")))
    known, unknown = Security(cacert=authority.file), Security(plaintext=False)
    assert info(server, known) == "OK"
    assert info(server, unknown) == "UNAVAILABLE"
    assert info(server, Security(plaintext=True)) == "UNAVAILABLE"
    control = f"127.0.0.1:{server.control_port}"
    with Client(control=control, security=known) as client:
        assert list(client.list_rollouts()) == []
    with Client(control=control, timeout_seconds=1.0) as client, pytest.raises(CallFailed):
        list(client.list_rollouts())
    assert scrape(server, known) == 200
    with pytest.raises(urllib.error.URLError):
        scrape(server, unknown)
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{server.metrics_port}/metrics", timeout=20)


def test_a_caller_without_tls_is_told_of_it_and_the_server_logs_no_word_of_grpc(
    authority: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = map(str, authority.issue("server"))
    for verbosity, is_loud in (("", False), ("INFO", True)):
        monkeypatch.delenv("GRPC_VERBOSITY", raising=False)
        if verbosity:
            monkeypatch.setenv("GRPC_VERBOSITY", verbosity)
        arguments = ("--tls-cert", certificate, "--tls-key", key)
        server = ServerProcess(tmp_path / f"data{verbosity}", tmp_path / f"ports{verbosity}.json", arguments)
        try:
            control = f"127.0.0.1:{server.control_port}"
            with (
                Client(control=control, timeout_seconds=1.0) as client,
                pytest.raises(CallFailed, match="but something listens there") as raised,
            ):
                list(client.list_rollouts())
            assert raised.value.is_unreachable
            assert raised.value.remedy.startswith("if it speaks TLS give --cacert (and --token-file)")
            server.process.terminate()
            log = server.process.communicate(timeout=60)[1]
        finally:
            server.kill()
        assert ("WRONG_VERSION_NUMBER" in log) == is_loud


def test_a_caller_with_tls_is_told_that_something_else_listens(tmp_path: Path, authority: Any) -> None:
    server = ServerProcess(tmp_path / "data", tmp_path / "ports.json")
    try:
        with (
            Client(
                control=f"127.0.0.1:{server.control_port}",
                timeout_seconds=1.0,
                security=Security(cacert=authority.file),
            ) as client,
            pytest.raises(CallFailed, match="but something listens there") as raised,
        ):
            next(client.watch_rollout("x"))
    finally:
        server.kill()
    assert "leave them out if it speaks no TLS" in raised.value.remedy


def test_a_client_certificate_is_a_principal(begin: Begin, authority: Any, tmp_path: Path) -> None:
    tokens = TokensFile(tmp_path / "tokens.json")
    tokens.add("ranking", {Role.INGEST}, certificate="ranking.internal")
    tokens.add("ada", {Role.VIEWER}, certificate="ada")
    server = begin(CertificateFiles(*authority.issue("server"), client_authority=authority.file), tokens)

    def caller(name: str, *identities: str, **more: Any) -> Security:
        cert, key = authority.issue(name, *identities)
        return Security(cacert=authority.file, cert=cert, key=key, **more)

    by_alternative_name, by_common_name = caller("any", "ranking.internal"), caller("ada", "ada.example")
    nobody = caller("nobody", "nobody.internal")
    assert info(server, by_alternative_name) == "OK"
    assert info(server, by_common_name) == "OK"
    assert info(server, nobody) == "UNAUTHENTICATED"
    assert info(server, Security(cacert=authority.file)) == "UNAVAILABLE"
    # A token names whoever the connection is for.
    assert info(server, caller("nobody", "nobody.internal", token=tokens.tokens["viewer"])) == "OK"
    assert info(server, caller("ada", "ada.example", token="covey_wrong")) == "UNAUTHENTICATED"
    control = f"127.0.0.1:{server.control_port}"
    with (
        Client(control=control, security=by_alternative_name) as client,
        pytest.raises(CallFailed, match="ranking may not call ListRollouts"),
    ):
        list(client.list_rollouts())
    assert scrape(server, by_common_name) == 200
    assert scrape(server, by_alternative_name) == 403
    assert scrape(server, nobody) == 401
    with pytest.raises((urllib.error.URLError, ssl.SSLError, ConnectionError)):
        scrape(server, Security(cacert=authority.file))


class Load:
    """Callers of both gRPC ports and of the page, each call on a new connection, until told to stop."""

    def __init__(self, server: AnalyzerServer, security: Security) -> None:
        self.server = server
        self.security = security
        self.failures: list[str] = []
        self.counts = [0, 0, 0]
        self._stopping = threading.Event()
        calls = (self._data, self._control, self._page)
        self._threads = [threading.Thread(target=self._run, args=(kind, call)) for kind, call in enumerate(calls)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(30)

    def _run(self, kind: int, call: Callable[[], None]) -> None:
        while not self._stopping.is_set():
            try:
                call()
                self.counts[kind] += 1
            except Exception as error:
                self.failures.append(f"{type(error).__name__}: {error}")

    def _data(self) -> None:
        with self._channel(self.server.data_port) as channel:
            analyzer_pb2_grpc.AnalyzerServiceStub(channel).GetServerInfo(INFO, timeout=20)

    def _control(self) -> None:
        with self._channel(self.server.control_port) as channel:
            ask = channel.unary_unary("/covey.v1.RolloutService/ListRollouts", ListRolloutsRequest.SerializeToString)
            ask(ListRolloutsRequest(), timeout=20)

    def _page(self) -> None:
        assert scrape(self.server, self.security) == 200

    def _channel(self, port: int) -> grpc.Channel:
        return open_channel(f"127.0.0.1:{port}", self.security)


def served_certificates(server: AnalyzerServer) -> set[str]:
    """What the three ports show to a new connection."""
    ports = (server.data_port, server.control_port, server.metrics_port)
    return {ssl.get_server_certificate(("127.0.0.1", port), timeout=20).strip() for port in ports}


def rotate(server: AnalyzerServer, authority: Any, count: int) -> None:
    """Replace the certificate that often, each time until every port shows the new one."""
    for _ in range(count):
        cert, _key = authority.issue("server")
        expected = ssl.PEM_cert_to_DER_cert(cert.read_text().partition("-----END CERTIFICATE-----")[0] + _END)
        wait_until(
            lambda expected=expected: (
                {ssl.PEM_cert_to_DER_cert(pem) for pem in served_certificates(server)} == {expected}
            ),
            30.0,
        )


_END = "-----END CERTIFICATE-----\n"


def test_certificates_change_under_load_without_a_failed_call(begin: Begin, authority: Any) -> None:
    server = begin(CertificateFiles(*authority.issue("server")))
    with closing(Load(server, Security(cacert=authority.file))) as load:
        rotate(server, authority, ROTATIONS)
    assert load.failures == []
    assert min(load.counts) > 0


def test_without_reading_again_calls_fail_once_the_certificate_has_expired(authority: Any) -> None:
    """The twin: credentials as the library makes them by default."""
    cert, key = authority.issue("short", not_after=datetime.now(UTC) + timedelta(seconds=3))
    server = grpc.server(ThreadPoolExecutor(1))
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), cert.read_bytes())])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    authority.issue("short")

    def code() -> str:
        with Client(data=f"127.0.0.1:{port}", security=Security(cacert=authority.file), timeout_seconds=2.0) as client:
            try:
                client.get_server_info()
            except CallFailed as failure:
                return failure.code.name
        return "OK"

    first = code()
    wait_until(lambda: code() == "UNAVAILABLE", 30.0)
    server.stop(None).wait(10)
    assert first == "UNIMPLEMENTED"


def test_a_certificate_that_expired_was_replaced_in_time(begin: Begin, authority: Any) -> None:
    server = begin(CertificateFiles(*authority.issue("server", not_after=datetime.now(UTC) + timedelta(seconds=3))))
    security = Security(cacert=authority.file)
    expiry = time.monotonic() + 3.0
    authority.issue("server")
    assert info(server, security) == "OK"
    wait_until(lambda: time.monotonic() > expiry, 30.0)
    assert info(server, security) == "OK"


def test_a_key_of_another_certificate_leaves_the_pair_before_in_force(
    begin: Begin, authority: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server = begin(CertificateFiles(*authority.issue("server")))
    before = served_certificates(server)
    (authority.directory / "server-key.pem").write_bytes(authority.issue("other")[1].read_bytes())

    def is_noticed() -> bool:
        assert served_certificates(server) == before
        return "stays in force" in caplog.text

    wait_until(is_noticed, 30.0)
    assert info(server, Security(cacert=authority.file)) == "OK"
