"""Where transitions are told: a signed webhook, an Alertmanager, whatever apprise knows."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import import_module
from typing import Any, Protocol
from urllib.parse import urlsplit

from covey_controller.outbox.message import Message

POST_SECONDS = 5.0
SIGNATURE_HEADER = "Covey-Signature"
DEDUPE_HEADER = "Covey-Dedupe-Key"
# Codes of a 4xx that say "later", not "never".
_LATER = frozenset({408, 425, 429})
_ALERT_LENGTH = timedelta(hours=1)


class SinkError(Exception):
    """A message that was not taken.

    Attributes:
        is_permanent: whether the sink refuses this very message, now and later.
    """

    def __init__(self, message: str, *, is_permanent: bool = False) -> None:
        self.is_permanent = is_permanent
        super().__init__(message)


class Sink(Protocol):
    """Takes messages, one at a time."""

    @property
    def name(self) -> str:
        """As the server knows its cursor."""
        ...

    def send(self, message: Message) -> None:
        """Tells one message.

        Raises:
            SinkError: it was not taken, or nobody knows.
        """
        ...


def signature(secret: bytes, unix_seconds: int, body: bytes) -> str:
    """`t=<time>,v1=<hex>`: HMAC-SHA256 over the time, a dot and the body, so that neither can be changed."""
    digest = hmac.new(secret, f"{unix_seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={unix_seconds},v1={digest}"


@dataclass(frozen=True)
class Webhook:
    """Posts JSON, signed where there is a secret.

    Attributes:
        url: http or https.
        unix_seconds: the wall clock.
        secret: shared with the receiver; None: unsigned.
    """

    url: str = field(repr=False)
    unix_seconds: Callable[[], float]
    secret: bytes | None = field(default=None, repr=False)
    name: str = "webhook"

    def send(self, message: Message) -> None:
        """Posts one message; anything but a 2xx is a failure."""
        body = message.body()
        headers = {DEDUPE_HEADER: message.dedupe_key}
        if self.secret is not None:
            headers[SIGNATURE_HEADER] = signature(self.secret, int(self.unix_seconds()), body)
        post(self.url, body, headers)


@dataclass(frozen=True)
class Alertmanager:
    """Posts alerts to the v2 API. The same transition has the same labels, which Alertmanager takes for one alert.

    Attributes:
        url: of the Alertmanager, such as http://127.0.0.1:9093.
    """

    url: str
    name: str = "alertmanager"

    def send(self, message: Message) -> None:
        """Posts one alert, which ends by itself after an hour."""
        alert = {
            "labels": {
                "alertname": "CoveyRollout",
                "rollout": message.rollout.removeprefix("rollouts/"),
                "event": message.event,
                "sequence": str(message.sequence),
                "severity": "page" if message.is_page else "info",
            },
            "annotations": {
                "summary": message.text,
                "on_call": ", ".join(message.on_call),
                "dedupe_key": message.dedupe_key,
            },
            "startsAt": message.time.isoformat(),
            "endsAt": (message.time + _ALERT_LENGTH).isoformat(),
        }
        post(self.url.rstrip("/") + "/api/v2/alerts", json.dumps([alert]).encode(), {})


class AppriseSink:
    """Tells the services behind apprise URLs: chat, mail, pagers. Needs `pip install covey[notify]`.

    Raises:
        ValueError: apprise is not installed, or does not know a URL.
    """

    name = "apprise"

    def __init__(self, urls: Sequence[str]) -> None:
        try:
            apprise: Any = import_module("apprise")
        except ImportError:
            raise ValueError("apprise is not installed; pip install 'covey[notify]'") from None
        self._apprise = apprise.Apprise()
        for number, url in enumerate(urls, start=1):
            if not self._apprise.add(url):
                raise ValueError(f"apprise does not know the URL in line {number}")

    def send(self, message: Message) -> None:
        """Tells all of them; one that fails fails the message, and all are told again."""
        title = f"{'PAGE: ' if message.is_page else ''}{message.rollout}"
        if not self._apprise.notify(body=f"{message.text}\n{message.dedupe_key}", title=title):
            raise SinkError("a service behind apprise did not take it")


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
