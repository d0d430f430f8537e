"""Beyond this machine nothing is served in plaintext or to strangers, unless that is what was asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from covey.access.certificates import CertificateFiles
from covey_server.access import posture
from covey_server.config import Address, ServerConfig, parse
from covey_server.failures import StartError

LOCAL = ServerConfig(Path("d"))
TLS = CertificateFiles(Path("c.pem"), Path("k.pem"))
TOKENS = Path("t.json")
ANYWHERE = Address("0.0.0.0", 1)


@pytest.mark.parametrize("port", ["listen", "control_listen", "metrics_listen"])
def test_every_port_beyond_this_machine_needs_both(port: str) -> None:
    beyond = replace(LOCAL, **{port: ANYWHERE})
    option = f"--{port.replace('_', '-')} 0.0.0.0:1"
    for config, missing in (
        (beyond, "TLS (--tls-cert, --tls-key) and callers that it knows (--tokens)"),
        (replace(beyond, tls=TLS), "callers that it knows (--tokens)"),
        (replace(beyond, tokens=TOKENS), "TLS (--tls-cert, --tls-key)"),
    ):
        with pytest.raises(StartError) as refused:
            posture.check(config)
        assert str(refused.value).startswith(f"{option} is beyond this machine and needs {missing}; ")
        posture.check(replace(config, insecure_listen=True))
    posture.check(replace(beyond, tls=TLS, tokens=TOKENS))


def test_this_machine_needs_nothing() -> None:
    for host in ("127.0.0.1", "::1", "localhost"):
        posture.check(replace(LOCAL, listen=Address(host, 1)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "access: plaintext, everybody on this machine may do everything (--tokens ends that)"),
        ({"tokens": TOKENS}, "access: plaintext, callers are known by token (t.json)"),
        ({"tokens": TOKENS, "tls": TLS}, "access: TLS, callers are known by token (t.json)"),
        (
            {"tokens": TOKENS, "tls": replace(TLS, client_authority=Path("ca.pem"))},
            "access: TLS, callers are known by certificate or token (t.json)",
        ),
        (
            {"listen": ANYWHERE, "insecure_listen": True},
            "access: INSECURE, plaintext: everybody who reaches 0.0.0.0:1 may do everything",
        ),
        (
            {"listen": ANYWHERE, "insecure_listen": True, "tokens": TOKENS},
            "access: INSECURE, plaintext: tokens cross the network to 0.0.0.0:1 unencrypted (t.json)",
        ),
    ],
)
def test_the_server_says_so_at_its_start(changes: dict[str, object], words: str) -> None:
    assert posture.words(replace(LOCAL, **changes)) == words  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tls-cert", "c.pem"], "--tls-cert goes with --tls-key"),
        (["--tls-key", "k.pem"], "--tls-cert goes with --tls-key"),
        (["--tls-client-ca", "a.pem"], "--tls-client-ca goes with"),
        (["--tls-client-ca", "a.pem", "--tls-cert", "c.pem", "--tls-key", "k.pem"], "--tls-client-ca goes with"),
    ],
)
def test_options_that_go_together(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--data-directory", "d", *arguments])
    assert message in capsys.readouterr().err
