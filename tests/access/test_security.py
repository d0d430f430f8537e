"""What a client brings to prove who it is, and where it never goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from covey.client import Client, Security


def test_a_token_is_read_anew_from_its_file_for_every_call(tmp_path: Path) -> None:
    file = tmp_path / "token"
    security = Security(token_file=file)
    for token in ("covey_one", "covey_two"):
        file.write_text(f"{token}\n")
        assert security.call_metadata() == (("authorization", f"Bearer {token}"),)
    for content, words in ((b"\n", "holds no token"), (b"a\nb", "holds no token"), (b"\xff", "holds no token")):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=words):
            security.call_metadata()
    file.unlink()
    with pytest.raises(ValueError, match="--token-file"):
        security.call_metadata()


def test_a_token_never_crosses_a_network_in_plaintext() -> None:
    security = Security(token="covey_secret", plaintext=True)
    assert "covey_secret" not in repr(security)
    with (
        Client(control="covey.example:1", security=security) as client,
        pytest.raises(ValueError, match=r"does not go to covey\.example:1 in plaintext"),
    ):
        client.get_rollout("x")


def test_one_token_is_enough() -> None:
    with pytest.raises(ValueError, match="two tokens"):
        Security(token="a", token_file=Path("b"))


def test_without_a_token_nothing_is_brought() -> None:
    assert Security().call_metadata() == ()
