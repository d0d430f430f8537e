"""The credentials file: what is read back, what is refused, changes that never mix."""

from __future__ import annotations

import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from covey.access.credentials import Credential, Credentials, digest, new_id, new_token, parse, read, text_of
from covey.access.credentials_file import change, without
from covey.access.principals import Principal, Role
from covey.errors import InputError

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TOKEN = new_token()
ADA = Credential(
    "1",
    Principal("ada", frozenset({Role.APPROVER}), frozenset({"finance"})),
    digest(TOKEN),
    "",
    NOW,
    NOW + timedelta(1),
)
RANKING = Credential("2", Principal("ranking", frozenset({Role.INGEST})), "", "ranking.internal", NOW)


def test_what_is_written_is_read() -> None:
    known = parse(text_of([ADA, RANKING]), "here")
    assert known.all == (ADA, RANKING)
    assert known.of_token(TOKEN, NOW) == ADA.principal
    assert known.of_token(TOKEN, NOW + timedelta(1)) is None
    assert known.of_token(new_token(), NOW) is None
    assert known.of_certificate(["other", "ranking.internal"], NOW) == RANKING.principal
    assert known.of_certificate(["ada"], NOW) is None


def test_a_token_has_256_random_bits() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert {len(token) for token in tokens} == {len("covey_") + 43}


@pytest.mark.parametrize(
    ("change_of", "words"),
    [
        ({"roles": ["root"]}, "'root' is no role; expected viewer, ingest"),
        ({"roles": []}, "has no role"),
        ({"roles": "viewer"}, "roles is no list of texts"),
        ({"principal": ""}, "principal '' is no name"),
        ({"principal": "a\nb"}, "is no name"),
        ({"token_sha256": "abc"}, "token_sha256 is no digest"),
        ({"certificate": "both"}, "proven by nothing or by two things"),
        ({"token_sha256": ""}, "proven by nothing or by two things"),
        ({"expire_time": "tomorrow"}, "expire_time 'tomorrow' is no time"),
        ({"expire_time": "2026-01-01T00:00:00"}, "is no time"),
        ({"rolse": []}, "unknown field 'rolse'"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(change_of: dict[str, Any], words: str) -> None:
    import json

    document = json.loads(text_of([RANKING, ADA]))
    document["credentials"][1] |= change_of
    with pytest.raises(InputError) as refused:
        parse(json.dumps(document), "tokens.json")
    assert "tokens.json: credentials[1]" in str(refused.value)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not JSON"),
        ("[]", "no credentials file of this version"),
        ('{"schema_version": 2, "credentials": []}', "no credentials file of this version"),
        ('{"schema_version": 1}', "has no list of credentials"),
        (text_of([ADA, ADA]), "two credentials have the id '1'"),
    ],
)
def test_what_is_no_file_of_credentials(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse(text, "tokens.json")


def test_a_file_that_cannot_be_read_says_what_writes_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="covey token create"):
        read(tmp_path / "none.json")
    (tmp_path / "binary.json").write_bytes(b"\xff")
    with pytest.raises(InputError, match="not UTF-8"):
        read(tmp_path / "binary.json")


def test_changes_at_the_same_time_are_all_kept_and_for_the_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"

    def add() -> None:
        for _ in range(10):
            made = Credential(new_id(), ADA.principal, digest(new_token()))
            change(path, lambda known, made=made: [*known.all, made])  # type: ignore[misc]

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read(path).all) == 40
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_revoking_takes_an_id_that_is_there(tmp_path: Path) -> None:
    known = Credentials([ADA, RANKING])
    assert without(known, "1", tmp_path) == [RANKING]
    with pytest.raises(InputError, match="no credential has the id '3'"):
        without(known, "3", tmp_path)
