"""`covey token`: the secret is shown once, the file never has it, and a server takes it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from covey.access.credentials import read
from covey.access.principals import Role
from covey.cli import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["token", *arguments])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_a_token_is_created_listed_and_revoked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = ("--tokens", str(tmp_path / "tokens.json"))
    roles = ("--role", "operator", "--role", "approver", "--signs-for", "engineering")
    code, out, err = run(capsys, "create", "ada", *file, *roles, "--days", "30")
    assert code == 0
    token = out.strip()
    assert token.startswith("covey_")
    assert "ada" in err
    known = read(tmp_path / "tokens.json").all[0]
    assert known.principal.roles == {Role.OPERATOR, Role.APPROVER}
    assert known.principal.may_sign_for("engineering")
    assert known.expire_time is not None
    assert known.create_time is not None
    assert (known.expire_time - known.create_time).days == 30
    code, out, err = run(capsys, "list", *file)
    assert code == 0
    assert token not in out
    assert "ada" in out
    assert "engineering" in out
    assert json.loads(run(capsys, "list", *file, "--output", "json")[1])["credentials"][0]["principal"] == "ada"
    assert run(capsys, "revoke", known.id, *file)[0] == 0
    assert read(tmp_path / "tokens.json").all == ()


def test_a_certificate_gets_roles_and_no_secret(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = ("--tokens", str(tmp_path / "tokens.json"))
    code, out, _ = run(capsys, "create", "ranking", *file, "--role", "ingest", "--certificate", "ranking.internal")
    assert (code, out) == (0, "")
    assert read(tmp_path / "tokens.json").all[0].certificate == "ranking.internal"
    code, _, err = run(capsys, "create", "again", *file, "--role", "admin", "--certificate", "ranking.internal")
    assert code == 1
    assert "has a credential already" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("create", "ada", "--role", "root"), "'root' is no role"),
        (("create", "ada", "--role", "approver"), "--signs-for goes with --role approver"),
        (("create", "ada", "--role", "viewer", "--signs-for", "finance"), "--signs-for goes with --role approver"),
        (("create", "", "--role", "viewer"), "is no name"),
        (("revoke", "nothing"), "no credential has the id"),
        (("list",), "cannot be read"),
    ],
)
def test_mistakes_are_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    code, out, err = run(capsys, *arguments, "--tokens", str(tmp_path / "tokens.json"))
    assert code == 1
    assert words in err
    assert not out
