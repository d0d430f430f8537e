"""Which sinks a controller is told of at its start. Secrets come from files or the environment, never as arguments."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import urlsplit

from covey.configuration.settings import Settings
from covey_controller.failures import ConfigError
from covey_controller.outbox.sinks import Alertmanager, AppriseSink, Sink, Webhook


def sinks_of(settings: Settings) -> tuple[Sink, ...]:
    """The sinks that the settings name.

    Raises:
        ConfigError: one cannot be used.
    """
    sinks: list[Sink] = []
    webhook, secret_file, alertmanager = settings["webhook"], settings["webhook_secret_file"], settings["alertmanager"]
    if webhook:
        _check_url("--webhook", webhook)
        sinks.append(Webhook(webhook, time.time, _secret(secret_file, settings["webhook_secret"])))
    elif secret_file:
        raise ConfigError("--webhook-secret-file signs nothing without --webhook URL")
    if alertmanager:
        _check_url("--alertmanager", alertmanager)
        sinks.append(Alertmanager(alertmanager))
    apprise_file = settings["apprise_file"]
    if apprise_file:
        lines = [line.strip() for line in _text("--apprise-file", apprise_file).splitlines()]
        try:
            sinks.append(AppriseSink([line for line in lines if line and not line.startswith("#")]))
        except ValueError as error:
            raise ConfigError(f"--apprise-file {apprise_file}: {error}") from error
    return tuple(sinks)


def _secret(file: str | None, from_environment: str | None) -> bytes | None:
    text = _text("--webhook-secret-file", file).strip() if file else from_environment or ""
    if file and not text:
        raise ConfigError(f"--webhook-secret-file {file} is empty")
    return text.encode() or None


def _text(option: str, file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise ConfigError(f"{option} {file}: {reason}") from error


def _check_url(option: str, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(f"{option}: expected http://HOST:PORT/path or https")
