"""The file that says who may do what: one credential per token or certificate, and no secret in it.

    {"schema_version": 1, "credentials": [
      {"id": "5f0c2a91", "principal": "ada", "roles": ["operator", "approver"], "signs_for": ["engineering"],
       "token_sha256": "9b1c...", "create_time": "2026-11-29T21:00:00Z", "expire_time": "2027-11-29T21:00:00Z"},
      {"id": "c8d17e20", "principal": "ranking", "roles": ["ingest"], "certificate": "ranking.internal", ...}]}

A token is 32 random bytes, so that its plain SHA-256 gives nothing away and cannot be guessed: slow hashes are for
passwords. Looking a digest up in a table tells no clock how much of a wrong token was right.
"""

from __future__ import annotations

import json
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from covey.access.principals import Principal, Role
from covey.access.watched import Watched
from covey.errors import InputError

SCHEMA_VERSION = 1
TOKEN_PREFIX = "covey_"  # noqa: S105 - lets scanners for leaked secrets know one
_TOKEN_BYTES = 32
_LONGEST_NAME = 128
_FIELDS = frozenset(
    {"id", "principal", "roles", "signs_for", "calls_per_second"}
    | {"token_sha256", "certificate", "create_time", "expire_time"}
)


@dataclass(frozen=True, slots=True)
class Credential:
    """What proves that a caller is a principal.

    Attributes:
        id: names the credential, for `covey token revoke`.
        principal: whom it proves, with roles.
        token_sha256: hexadecimal digest of the token; empty for a certificate.
        certificate: common name or subject alternative name of a client certificate; empty for a token.
        create_time: when it was made.
        expire_time: from when on it proves nothing; None: never.
    """

    id: str
    principal: Principal
    token_sha256: str = ""
    certificate: str = ""
    create_time: datetime | None = None
    expire_time: datetime | None = None

    def is_valid(self, now: datetime) -> bool:
        """Whether it has not expired."""
        return self.expire_time is None or now < self.expire_time


class Credentials:
    """Every credential of a file, found by token or certificate."""

    def __init__(self, credentials: Iterable[Credential] = ()) -> None:
        self.all: tuple[Credential, ...] = tuple(credentials)
        self._by_digest = {known.token_sha256: known for known in self.all if known.token_sha256}
        self._by_certificate = {known.certificate: known for known in self.all if known.certificate}

    def of_token(self, token: str, now: datetime) -> Principal | None:
        """Whom a token proves; None for an unknown or expired one."""
        return _proven(self._by_digest.get(digest(token)), now)

    def of_certificate(self, names: Sequence[str], now: datetime) -> Principal | None:
        """Whom a verified certificate with these names proves; None where no credential has one of them."""
        known = next((self._by_certificate[name] for name in names if name in self._by_certificate), None)
        return _proven(known, now)


def _proven(credential: Credential | None, now: datetime) -> Principal | None:
    return credential.principal if credential is not None and credential.is_valid(now) else None


def digest(token: str) -> str:
    """What is kept of a token."""
    return sha256(token.encode()).hexdigest()


def new_token() -> str:
    """A secret of 32 random bytes."""
    return TOKEN_PREFIX + urlsafe_b64encode(secrets.token_bytes(_TOKEN_BYTES)).decode().rstrip("=")


def new_id() -> str:
    """A name for a credential: 8 hexadecimal digits."""
    return secrets.token_hex(4)


def watched(path: Path) -> Watched[Credentials]:
    """The credentials of a file, read again when it changes.

    Raises:
        InputError: as `read`.
    """
    return Watched([path], lambda: read(path), time.monotonic)


def read(path: Path) -> Credentials:
    """The credentials of a file.

    Raises:
        InputError: the file cannot be read, is no such file, or one of its credentials is wrong; none is used then.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})", source=str(path), remedy="`covey token create --tokens` writes it"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8", source=str(path)) from error
    return parse(text, str(path))


def parse(text: str, source: str) -> Credentials:
    """The credentials of a file's text.

    Raises:
        InputError: as `read`.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise InputError(f"is not JSON ({error})", source=source) from error
    if not isinstance(document, dict) or document.get("schema_version") != SCHEMA_VERSION:
        raise InputError(
            "is no credentials file of this version", source=source, expected=f'"schema_version": {SCHEMA_VERSION}'
        )
    entries = document.get("credentials")
    if not isinstance(entries, list):
        raise InputError("has no list of credentials", source=source)
    found = [_credential(entry, f"{source}: credentials[{position}]") for position, entry in enumerate(entries)]
    for name in ("id", "token_sha256", "certificate"):
        values = [value for value in (getattr(known, name) for known in found) if value]
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise InputError(f"two credentials have the {name} {twice!r}", source=source)
    return Credentials(found)


def text_of(credentials: Iterable[Credential]) -> str:
    """The file's text."""
    entries = [plain(known) for known in credentials]
    return json.dumps({"schema_version": SCHEMA_VERSION, "credentials": entries}, indent=2) + "\n"


def plain(credential: Credential) -> dict[str, Any]:
    """A credential as the file has it."""
    entry: dict[str, Any] = {
        "id": credential.id,
        "principal": credential.principal.name,
        "roles": sorted(credential.principal.roles),
        "signs_for": sorted(credential.principal.signs_for),
        "calls_per_second": credential.principal.calls_per_second,
        "token_sha256": credential.token_sha256,
        "certificate": credential.certificate,
        "create_time": _time_text(credential.create_time),
        "expire_time": _time_text(credential.expire_time),
    }
    return {name: value for name, value in entry.items() if value}


def _credential(entry: Any, place: str) -> Credential:
    if not isinstance(entry, dict):
        raise InputError("is no object", source=place)
    unknown = sorted(entry.keys() - _FIELDS)
    if unknown:
        raise InputError(f"unknown field {unknown[0]!r}", source=place, expected=", ".join(sorted(_FIELDS)))
    token, certificate = _text(entry, "token_sha256", place), _text(entry, "certificate", place)
    if bool(token) == bool(certificate):
        raise InputError("is proven by nothing or by two things", source=place, expected="token_sha256 or certificate")
    if token and (len(token) != 64 or set(token) - set("0123456789abcdef")):
        raise InputError("token_sha256 is no digest", source=place, expected="64 hexadecimal digits")
    return Credential(
        id=checked_name(_text(entry, "id", place), "id", place),
        principal=Principal(
            checked_name(_text(entry, "principal", place), "principal", place),
            roles_of(_texts(entry, "roles", place), place),
            frozenset(_texts(entry, "signs_for", place)),
            calls_per_second=_rate(entry, place),
        ),
        token_sha256=token,
        certificate=certificate,
        create_time=_time(entry, "create_time", place),
        expire_time=_time(entry, "expire_time", place),
    )


def roles_of(names: Iterable[str], place: str) -> frozenset[Role]:
    """Roles by name.

    Raises:
        InputError: an unknown role, or none.
    """
    known = {role.value: role for role in Role}
    unknown = sorted(set(names) - known.keys())
    if unknown:
        raise InputError(f"{unknown[0]!r} is no role", source=place, expected=", ".join(known))
    roles = frozenset(known[name] for name in names)
    if not roles:
        raise InputError("has no role", source=place, expected=f"one or more of {', '.join(known)}")
    return roles


def checked_name(name: str, field: str, place: str) -> str:
    """A name that logs and journals can show.

    Raises:
        InputError: it is empty, too long or has what is not printed.
    """
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise InputError(
            f"{field} {name[:40]!r} is no name", source=place, expected=f"1 to {_LONGEST_NAME} printable characters"
        )
    return name


def _text(entry: Mapping[str, Any], field: str, place: str) -> str:
    value = entry.get(field, "")
    if not isinstance(value, str):
        raise InputError(f"{field} is no text", source=place)
    return value


def _texts(entry: Mapping[str, Any], field: str, place: str) -> list[str]:
    values = entry.get(field, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise InputError(f"{field} is no list of texts", source=place)
    return values


def _rate(entry: Mapping[str, Any], place: str) -> float | None:
    value = entry.get("calls_per_second")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
        raise InputError(f"calls_per_second {value!r} is no rate", source=place, expected="a number above 0")
    return float(value)


def _time(entry: Mapping[str, Any], field: str, place: str) -> datetime | None:
    text = _text(entry, field, place)
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise InputError(f"{field} {text!r} is no time", source=place, expected="such as 2026-11-29T21:00:00Z")
    return time


def _time_text(time: datetime | None) -> str:
    return "" if time is None else time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
