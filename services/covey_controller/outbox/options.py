"""Which sinks a controller is told of at its start. Secrets come from files or the environment, never as arguments."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from covey_controller.failures import ConfigError
from covey_controller.outbox.sinks import Alertmanager, AppriseSink, Sink, Webhook

SECRET_VARIABLE = "COVEY_WEBHOOK_SECRET"  # noqa: S105 - the name of the variable


def add_sink_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the sinks."""
    parser.add_argument("--webhook", metavar="URL", help="every transition is posted there as JSON")
    parser.add_argument(
        "--webhook-secret-file",
        metavar="FILE",
        help=f"signs the posts with HMAC-SHA256 (or the environment's {SECRET_VARIABLE})",
    )
    parser.add_argument("--alertmanager", metavar="URL", help="every transition is an alert there (v2 API)")
    parser.add_argument("--apprise-file", metavar="FILE", help="apprise URLs, one a line; needs covey[notify]")


def sinks_of(options: argparse.Namespace, environment: Mapping[str, str]) -> tuple[Sink, ...]:
    """The sinks that the options name.

    Raises:
        ConfigError: one cannot be used.
    """
    sinks: list[Sink] = []
    if options.webhook:
        _check_url("--webhook", options.webhook)
        sinks.append(Webhook(options.webhook, time.time, _secret(options.webhook_secret_file, environment)))
    elif options.webhook_secret_file:
        raise ConfigError("--webhook-secret-file signs nothing without --webhook URL")
    if options.alertmanager:
        _check_url("--alertmanager", options.alertmanager)
        sinks.append(Alertmanager(options.alertmanager))
    if options.apprise_file:
        lines = [line.strip() for line in _text("--apprise-file", options.apprise_file).splitlines()]
        try:
            sinks.append(AppriseSink([line for line in lines if line and not line.startswith("#")]))
        except ValueError as error:
            raise ConfigError(f"--apprise-file {options.apprise_file}: {error}") from error
    return tuple(sinks)


def _secret(file: str | None, environment: Mapping[str, str]) -> bytes | None:
    text = _text("--webhook-secret-file", file).strip() if file else environment.get(SECRET_VARIABLE, "")
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
