"""The doctor at real servers: healthy ones, and each illness that it knows."""

from __future__ import annotations

import json
import os
import re
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from server.access.known import TokensFile
from server.running import FREE, ServedHere

from covey.access.certificates import CertificateFiles
from covey.cli import main
from covey.doctor.disk import examine_disk
from covey.doctor.examination import Examination
from covey.doctor.places import Places
from covey_server.config import ServerConfig
from covey_server.store import open_store
from covey_server.wiring import AnalyzerServer, wall_clock


@dataclass(frozen=True)
class Visit:
    code: int
    findings: list[dict[str, str]]

    def level(self, check: str, words: str = "") -> str:
        """Of the finding of that check whose words these are."""
        found = [one for one in self.findings if one["check"] == check and words in one["said"]]
        assert found, self.findings
        return found[0]["level"]


Doctor = Callable[..., Visit]


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str]) -> Doctor:
    def visit(*arguments: str) -> Visit:
        with pytest.raises(SystemExit) as ended:
            main(["doctor", "--output", "json", *arguments])
        return Visit(int(ended.value.code or 0), json.loads(capsys.readouterr().out))

    return visit


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServedHere]:
    running = ServedHere(data_directory=tmp_path / "data", replica="alice")
    yield running
    running.stop()


def places(server: Any, scheme: str = "http", host: str = "127.0.0.1") -> list[str]:
    return [
        *("--data", f"{host}:{server.data_port}", "--control", f"{host}:{server.control_port}"),
        *("--metrics", f"{scheme}://{host}:{server.metrics_port}/metrics"),
        *("--controller-metrics", f"{scheme}://{host}:1/metrics"),
    ]


def test_a_healthy_server(server: ServedHere, doctor: Doctor, tmp_path: Path) -> None:
    seen = doctor(*places(server), "--data-directory", str(tmp_path / "data"))
    assert seen.code == 0
    assert {one["check"] for one in seen.findings if one["level"] == "fail"} == set()
    for check in ("machine", "store", "space", "sync", "serving", "data", "control", "token", "metrics", "clock"):
        assert seen.level(check) in {"ok", "warn"}
    assert seen.level("data", "alice answers") == "ok"
    assert seen.level("controller", "no controller answers") == "warn"


def test_nobody_is_there(doctor: Doctor) -> None:
    nowhere = ("--data", "127.0.0.1:1", "--control", "127.0.0.1:1", "--metrics", "http://127.0.0.1:1/metrics")
    seen = doctor(*nowhere, "--timeout", "1s")
    assert seen.code == 1
    for check in ("serving", "data", "control", "metrics"):
        assert seen.level(check) == "fail"
    (remedy,) = [one["remedy"] for one in seen.findings if one["check"] == "data"]
    assert "--data" in remedy
    assert "--control" not in remedy


def test_somebody_else_listens(doctor: Doctor, server: ServedHere) -> None:
    swapped = ServedHere.__new__(ServedHere)
    swapped.data_port, swapped.control_port, swapped.metrics_port = (
        server.metrics_port, server.metrics_port, server.data_port,
    )  # fmt: skip
    seen = doctor(*places(swapped), "--timeout", "1s")
    assert seen.level("data", "something listens there") == "fail"
    assert seen.level("metrics") == "fail"


def test_a_port_that_hangs_is_left(doctor: Doctor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        where = ("--data", address, "--control", address, "--metrics", f"http://{address}/metrics")
        seen = doctor(*where, "--timeout", "0.3s", "--only", "serving", "--only", "metrics")
    assert seen.level("serving", "timed out") == "fail"
    assert seen.level("metrics", "timed out") == "fail"


@contextmanager
def secured(directory: Path, authority: Any, *names: str, days: float = 90.0) -> Iterator[tuple[Any, TokensFile]]:
    """A server with TLS that asks who calls."""
    not_after = datetime.now(UTC) + timedelta(days=days)
    tls = CertificateFiles(*authority.issue("server", *names, not_after=not_after))
    tokens = TokensFile(directory / "tokens.json")
    server = AnalyzerServer(
        ServerConfig(directory / "data", FREE, FREE, FREE, tls=tls, tokens=tokens.path, ballast_kilobytes=64),
        wall_clock,
    )
    try:
        yield server, tokens
    finally:
        server.stop()


def token(tokens: TokensFile, name: str) -> str:
    path = tokens.path.with_name(f"{name}-token")
    path.write_text(tokens.tokens[name] + "\n")
    return str(path)


def test_tls_and_tokens(tmp_path: Path, authority: Any, doctor: Doctor) -> None:
    with secured(tmp_path, authority) as (server, tokens):
        where = [*places(server, "https"), "--cacert", str(authority.file)]
        seen = doctor(*where, "--token-file", token(tokens, "viewer"))
        assert seen.code == 0
        assert seen.level("certificate", "ends in 90 days") == "ok"
        assert seen.level("token", "known as viewer") == "ok"
        nobody = doctor(*where)
        assert nobody.code == 1
        assert nobody.level("control", "UNAUTHENTICATED") == "fail"
        assert nobody.level("metrics", "HTTP 401") == "fail"
        assert nobody.level("serving") == "ok", "health is told to everybody"
        poor = doctor(*where, "--token-file", token(tokens, "ingest"))
        assert poor.level("metrics", "HTTP 403") == "fail"
        tokens.revoke("viewer")


def test_certificates_that_are_not_to_be_trusted(tmp_path: Path, authority: Any, doctor: Doctor) -> None:
    with secured(tmp_path, authority, "elsewhere.example") as (server, _):
        where = places(server, "https")
        wrong_name = doctor(*where, "--cacert", str(authority.file), "--only", "certificate")
        assert wrong_name.level("certificate", "127.0.0.1") == "fail"
        named = ("--servername", "elsewhere.example")
        assert doctor(*where, "--cacert", str(authority.file), *named, "--only", "certificate").code == 0
        stranger = tmp_path / "stranger"
        stranger.mkdir()
        other = type(authority)(stranger).file
        wrong_chain = doctor(*where, "--cacert", str(other), *named, "--only", "certificate")
        assert wrong_chain.level("certificate", "unable to get local issuer") == "fail"


@pytest.mark.parametrize(("days", "level"), [(10.0, "warn"), (-1.0, "fail")])
def test_certificates_that_end(tmp_path: Path, authority: Any, doctor: Doctor, days: float, level: str) -> None:
    with secured(tmp_path, authority, days=days) as (server, _):
        seen = doctor(*places(server, "https"), "--cacert", str(authority.file), "--only", "certificate")
        assert seen.level("certificate") == level


def test_a_configuration_says_where_to_look(tmp_path: Path, authority: Any, doctor: Doctor) -> None:
    with secured(tmp_path, authority) as (server, tokens):
        certificate, key = server.config.tls.certificate, server.config.tls.key
        file = tmp_path / "covey.toml"
        file.write_text(
            f"""
[server]
data_directory = "{tmp_path / "data"}"
listen = "0.0.0.0:{server.data_port}"
control_listen = "0.0.0.0:{server.control_port}"
metrics_listen = "0.0.0.0:{server.metrics_port}"
tls_cert = "{certificate}"
tls_key = "{key}"
ballast_kilobytes = 64
[controller]
control = "127.0.0.1:{server.control_port}"
cacert = "{authority.file}"
token_file = "{token(tokens, "viewer")}"
"""
        )
        seen = doctor("--config", str(file))
        assert seen.code == 0, seen.findings
        assert seen.level("ballast") == "ok"
        assert seen.level("certificate", str(certificate)) == "ok"
        assert seen.level("token", "viewer") == "ok"
        file.write_text(file.read_text().replace("listen", "lisen"))
        with pytest.raises(SystemExit) as ended:
            main(["doctor", "--config", str(file)])
        assert ended.value.code == 2


def test_illnesses_of_a_data_directory(tmp_path: Path, doctor: Doctor) -> None:
    disk = ("--only", "disk", "--data-directory")
    assert doctor(*disk, str(tmp_path / "new")).level("store", "not there yet") == "ok"
    (tmp_path / "file").write_text("x")
    assert doctor(*disk, str(tmp_path / "file")).level("store", "no folder") == "fail"
    data = tmp_path / "data"
    data.mkdir()
    (data / "covey.db").write_bytes(b"not a database at all" * 100)
    assert doctor(*disk, str(data)).level("store") == "fail"


def test_tables_of_a_newer_covey(tmp_path: Path, doctor: Doctor) -> None:
    open_store(tmp_path / "data", ballast_bytes=1 << 16).close()
    with closing(sqlite3.connect(tmp_path / "data" / "covey.db")) as database:
        database.execute("UPDATE schema_version SET version = 99")
        database.commit()
    seen = doctor("--only", "disk", "--data-directory", str(tmp_path / "data"))
    assert seen.level("store", "tables of version 99") == "fail"


def test_a_directory_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # root may write everywhere: what access(2) says of another user.
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda *_: False)
        (found,) = examine_disk(tmp_path, None, lambda _: (None, 1))
        (parent,) = examine_disk(tmp_path / "new", None, lambda _: (None, 1))
    assert (found.level.value, parent.level.value) == ("fail", "fail")
    assert "may not be written" in found.said
    assert "cannot be made" in parent.said


def test_a_clock_that_is_wrong_here(server: ServedHere) -> None:
    """This machine's clock is an hour behind; it jumps while the doctor looks."""
    looks = iter([*[0.0] * 3, 7200.0])
    from time import monotonic, time

    def wall() -> float:
        return time() - 3600.0 + next(looks, 7200.0)

    where = Places(metrics=f"http://127.0.0.1:{server.metrics_port}/metrics")
    found = list(Examination(where, lambda _: (None, 1), wall=wall, monotonic=monotonic).findings(["metrics"]))
    clocks = [one.said for one in found if one.check == "clock"]
    assert 3590 < float(re.findall(r"[\d.]+", clocks[0])[0]) < 3610
    assert "jumped by" in clocks[1]


def test_what_is_printed_fits_and_names_what_to_do(
    server: ServedHere, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        main(["doctor", *places(server)])
    out = capsys.readouterr().out
    assert ended.value.code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert "\x1b" not in out
    assert "→ start one" in out
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--only", "nothing"])
    assert ended.value.code == 2


def test_no_thread_is_left(server: ServedHere, doctor: Doctor) -> None:
    doctor(*places(server))
    before = threading.active_count()
    doctor(*places(server))
    assert threading.active_count() <= before
