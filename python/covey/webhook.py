"""Posting JSON to a webhook: signed, with a deadline and a key by which a receiver knows what it has taken already."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

POST_SECONDS = 5.0
SIGNATURE_HEADER = "Covey-Signature"
DEDUPE_HEADER = "Covey-Dedupe-Key"
# Codes of a 4xx that say "later", not "never".
_LATER = frozenset({408, 425, 429})


class SinkError(Exception):
    """A message that was not taken.

    Attributes:
        is_permanent: whether the sink refuses this very message, now and later.
    """

    def __init__(self, message: str, *, is_permanent: bool = False) -> None:
        self.is_permanent = is_permanent
        super().__init__(message)


def signature(secret: bytes, unix_seconds: int, body: bytes) -> str:
    """`t=<time>,v1=<hex>`: HMAC-SHA256 over the time, a dot and the body, so that neither can be changed."""
    digest = hmac.new(secret, f"{unix_seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={unix_seconds},v1={digest}"


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A POST that is redirected would arrive as a GET without its body."""

    def redirect_request(self, *_arguments: Any, **_named: Any) -> None:
        """Follows none."""
        return


_opener = urllib.request.build_opener(_NoRedirects)


def post(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Posts JSON with a deadline. Messages of errors name the host only: paths of webhooks are secrets.

    Raises:
        SinkError: no 2xx came.
    """
    host = urlsplit(url).hostname
    request = urllib.request.Request(  # noqa: S310 - the operator's own URL
        url, data=body, headers={"Content-Type": "application/json", **headers}, method="POST"
    )
    try:
        with _opener.open(request, timeout=POST_SECONDS):
            pass
    except urllib.error.HTTPError as error:
        with error:
            permanent = 400 <= error.code < 500 and error.code not in _LATER
            raise SinkError(f"{host} answered {error.code}", is_permanent=permanent) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        raise SinkError(f"{host}: {reason}") from None
