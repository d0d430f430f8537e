"""What a controller is told at its start."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from covey.access.addresses import is_loopback
from covey.access.client_options import security_of
from covey.client.channel import Security
from covey.configuration.options import ConfigurationError
from covey.configuration.settings import Settings, read_settings
from covey_controller.access import PageOptions, page_access_of
from covey_controller.failures import ConfigError
from covey_controller.options import SECTION
from covey_controller.outbox.options import sinks_of
from covey_controller.outbox.sinks import Sink


@dataclass(frozen=True)
class Replica:
    """One server process: where its calls go and where its counters are read.

    Attributes:
        name: names the replica in readings, absences and probes; the address of its data port.
        data_address: `host:port` of the data port, which is probed.
        metrics_url: `http://host:port/path` of the metrics page, or https.
        security: certificates and token for both.
    """

    name: str
    data_address: str
    metrics_url: str
    security: Security = field(default_factory=Security)


@dataclass(frozen=True)
class ScrapeLimits:
    """How long and how much a metrics page may be."""

    connect_seconds: float = 1.0
    read_seconds: float = 1.0
    total_seconds: float = 3.0
    page_bytes: int = 8 * 1024 * 1024
    lines: int = 20_000


@dataclass(frozen=True)
class Config:
    """Everything that `covey-controller` can be told; times in seconds."""

    control_address: str
    replicas: tuple[Replica, ...]
    security: Security = field(default_factory=Security)
    page: PageOptions = field(default_factory=PageOptions)
    target: str = "analyzer"
    metrics_address: str = "127.0.0.1:9465"
    ports_file: str | None = None
    sinks: tuple[Sink, ...] = ()
    holder: str = ""
    poll_seconds: float = 1.0
    call_seconds: float = 3.0
    probe_deadline_seconds: float = 2.0
    scrape: ScrapeLimits = field(default_factory=ScrapeLimits)
    xds_address: str | None = None


def parse_replica(text: str) -> Replica:
    """Reads `data=HOST:PORT,metrics=http://HOST:PORT/metrics`.

    Raises:
        ConfigError: when a part is missing or cannot be an address.
    """
    expected = f"--replica {text}: expected data=HOST:PORT,metrics=http://HOST:PORT/metrics"
    parts = dict(part.partition("=")[::2] for part in text.split(","))
    if set(parts) != {"data", "metrics"}:
        raise ConfigError(expected)
    url = urlsplit(parts["metrics"])
    if url.scheme not in {"http", "https"} or not url.hostname or not parts["data"].rpartition(":")[0]:
        raise ConfigError(expected)
    return Replica(name=parts["data"], data_address=parts["data"], metrics_url=parts["metrics"])


def parse_address(text: str) -> tuple[str, int]:
    """Splits `host:port`.

    Raises:
        ConfigError: when there is no port, or it is no number.
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def default_holder() -> str:
    """A lease holder's name that no other process has."""
    return f"controller-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


def parse_arguments(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> Config:
    """Reads the command line (of this process by default), its environment and its file.

    Raises:
        ConfigError: on a value that cannot work.
        SystemExit: on unknown options, as argparse does.
    """
    try:
        return config_of(read_settings(SECTION, arguments, os.environ if environment is None else environment))
    except ConfigurationError as error:
        raise ConfigError(str(error)) from error


def config_of(settings: Settings) -> Config:
    """What a controller's settings amount to.

    Raises:
        ConfigError: on a value that cannot work.
    """
    if not settings["poll_seconds"] > 0 or not settings["probe_deadline_seconds"] > 0:
        raise ConfigError("--poll-seconds and --probe-deadline-seconds must be above 0")
    xds_listen = settings["xds_listen"]
    parse_address(settings["control"])
    parse_address(settings["metrics_listen"])
    parse_address(xds_listen or "127.0.0.1:0")
    if xds_listen and not is_loopback(xds_listen):
        raise ConfigError(
            f"--xds-listen {xds_listen}: whoever answers there moves the traffic, and the port has no TLS; "
            "listen on loopback and put a proxy with TLS before it"
        )
    try:
        security = security_of(settings)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    parsed = tuple(replace(parse_replica(text), security=security) for text in settings["replica"])
    for replica in parsed:
        host = urlsplit(replica.metrics_url).netloc
        if security.has_token and replica.metrics_url.startswith("http:") and not is_loopback(host):
            raise ConfigError(f"--replica: a token does not go to {replica.metrics_url} in plaintext; use https")
    if len({replica.name for replica in parsed}) != len(parsed):
        raise ConfigError("--replica: the same data address twice; each replica needs its own")
    return Config(
        control_address=settings["control"],
        replicas=parsed,
        security=security,
        page=page_access_of(settings),
        target=settings["target"],
        metrics_address=settings["metrics_listen"],
        ports_file=settings["ports_file"],
        sinks=sinks_of(settings),
        holder=settings["holder"] or default_holder(),
        poll_seconds=settings["poll_seconds"],
        probe_deadline_seconds=settings["probe_deadline_seconds"],
        xds_address=xds_listen,
    )
