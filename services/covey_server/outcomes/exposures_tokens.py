"""Exposure tokens: opaque text that credits an outcome to an answer and that nobody can make up."""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
from hashlib import blake2b
from typing import NamedTuple

_LAYOUT = struct.Struct("<BQBQ")
_VERSION = 1
_SEAL_BYTES = 6
TOKEN_LENGTH = 32
KEY_BYTES = 32


class TokenContent(NamedTuple):
    """What a token names."""

    phase_key: int
    variant: int
    learner: int


def make_token(key: bytes, content: TokenContent) -> str:
    """32 characters that are safe in URLs."""
    body = _LAYOUT.pack(_VERSION, *content)
    return base64.urlsafe_b64encode(body + _seal(key, body)).decode()


def read_token(key: bytes, token: str) -> TokenContent | None:
    """The content of a token made with the same key; None for any other text."""
    if len(token) != TOKEN_LENGTH or not token.isascii():
        return None
    try:
        raw = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    body, seal = raw[: _LAYOUT.size], raw[_LAYOUT.size :]
    if not hmac.compare_digest(seal, _seal(key, body)):
        return None
    version, phase_key, variant, learner = _LAYOUT.unpack(body)
    return TokenContent(phase_key, variant, learner) if version == _VERSION else None


def _seal(key: bytes, body: bytes) -> bytes:
    return blake2b(body, key=key, digest_size=_SEAL_BYTES).digest()
