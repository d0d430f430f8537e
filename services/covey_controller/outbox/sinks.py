"""Where transitions are told: a signed webhook, an Alertmanager, whatever apprise knows."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import import_module
from typing import Any, Protocol

from covey.webhook import DEDUPE_HEADER, SIGNATURE_HEADER, SinkError, post, signature
from covey_controller.outbox.message import Message

_ALERT_LENGTH = timedelta(hours=1)


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
