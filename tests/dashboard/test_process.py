"""`covey-dashboard` as a process: how it starts, refuses, and ends; TLS and certificates that change."""

from __future__ import annotations

import json
import signal
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from waiting import wait_until

from covey_dashboard.config import ConfigError, parse_arguments
from covey_dashboard.dashboard import Dashboard
from covey_dashboard.main import main

NOWHERE = "127.0.0.1:1"


@pytest.mark.e2e
def test_it_starts_without_a_server_and_ends_in_order(tmp_path: Path) -> None:
    ports = tmp_path / "ports.json"
    command = [sys.executable, "-m", "covey_dashboard.main", "--listen", "127.0.0.1:0", "--control", NOWHERE]
    command += ["--ports-file", str(ports)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until(lambda: ports.exists() or process.poll() is not None, 30.0)
            port = json.loads(ports.read_text())["pages"]
            url = f"http://127.0.0.1:{port}/"
            assert httpx.get(f"{url}healthz").text == "serving; server not reached\n"
            assert "The server cannot say who you are" in httpx.get(f"{url}login").text
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0
    assert out == f"covey dashboard: {url} (server {NOWHERE})\n"
    assert {json.loads(line)["message"] for line in err.splitlines()} <= {"the server does not answer"}
    assert not ports.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--listen", "0.0.0.0:8080"], "beyond this machine and needs --tls-cert and --tls-key"),
        (["--listen", "8080"], "is not HOST:PORT"),
        (["--listen", "localhost:http"], "is not HOST:PORT"),
        (["--tls-cert", "a.pem"], "--tls-cert goes with --tls-key"),
        (["--control", "here"], "--control 'here' is not HOST:PORT"),
        (["--cert", "a.pem"], "--cert goes with --key"),
    ],
)
def test_a_command_line_that_cannot_work_says_why(arguments: list[str], words: str, capsys: Any) -> None:
    assert main(arguments) == 2
    assert words in capsys.readouterr().err


def test_a_token_does_not_cross_a_network_in_plaintext(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COVEY_TOKEN", "covey_secret")
    with pytest.raises(ConfigError, match="in plaintext") as refused:
        parse_arguments(["--control", "covey.example:50052", "--plaintext"])
    assert "covey_secret" not in str(refused.value)
    config = parse_arguments(["--listen", "0.0.0.0:0", "--insecure-listen", "--host", "Covey.Example"])
    assert {"covey.example", "localhost"} <= config.hosts
    assert "covey_secret" not in repr(config)


def test_an_address_in_use_is_said(capsys: Any) -> None:
    first = Dashboard(parse_arguments(["--listen", "127.0.0.1:0", "--control", NOWHERE]))
    try:
        assert main(["--listen", f"127.0.0.1:{first.port}", "--control", NOWHERE]) == 1
        assert "choose another address with --listen" in capsys.readouterr().err
    finally:
        first.stop()


def test_over_tls_the_cookie_is_secure_and_certificates_change(authority: Any) -> None:
    certificate, key = authority.issue("dashboard")
    config = parse_arguments(
        ["--listen", "127.0.0.1:0", "--control", NOWHERE, "--tls-cert", str(certificate), "--tls-key", str(key)]
    )
    dashboard = Dashboard(config)
    try:
        context = ssl.create_default_context(cafile=authority.file)

        def answer() -> httpx.Response:
            return httpx.get(f"{dashboard.url}login", verify=context)

        def serial() -> str:
            with httpx.stream("GET", f"{dashboard.url}healthz", verify=context) as stream:
                connection = stream.extensions["network_stream"].get_extra_info("ssl_object")
                return str(connection.getpeercert()["serialNumber"])

        assert dashboard.url.startswith("https://")
        cookie = answer().headers["set-cookie"].lower()
        assert cookie.startswith("__host-covey-form=")
        assert "secure" in cookie
        assert answer().headers["strict-transport-security"]
        before = serial()
        authority.issue("dashboard")
        wait_until(lambda: serial() != before)
    finally:
        dashboard.stop()


def test_a_certificate_that_is_none_is_said(tmp_path: Path, capsys: Any) -> None:
    for name in ("a.pem", "a-key.pem"):
        (tmp_path / name).write_text("nothing")
    options = ["--tls-cert", str(tmp_path / "a.pem"), "--tls-key", str(tmp_path / "a-key.pem")]
    assert main(["--listen", "127.0.0.1:0", "--control", NOWHERE, *options]) == 1
    assert "is no certificate" in capsys.readouterr().err
