"""What a controller is told at its start."""

from __future__ import annotations

import argparse
import os
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from covey.access.addresses import is_loopback
from covey.client.channel import Security
from covey_controller.access import PageOptions, add_access_options, page_access_of, security_of
from covey_controller.failures import ConfigError
from covey_controller.outbox.options import add_sink_options, sinks_of
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


def parse_arguments(arguments: Sequence[str] | None = None) -> Config:
    """Reads the command line.

    Raises:
        ConfigError: on a value that cannot work.
        SystemExit: on unknown options, as argparse does.
    """
    parser = argparse.ArgumentParser(
        prog="covey-controller",
        description="Drives rollouts on the evidence of the service's own metrics.",
    )
    parser.add_argument("--control", default="127.0.0.1:50052", metavar="HOST:PORT", help="control port of the server")
    parser.add_argument(
        "--replica",
        action="append",
        metavar="data=HOST:PORT,metrics=URL",
        help="one server process; repeat it for each (default: the loopback ports)",
    )
    parser.add_argument("--target", default="analyzer", help="drives the rollouts of this target")
    parser.add_argument("--metrics-listen", default="127.0.0.1:9465", metavar="HOST:PORT", help="own metrics page")
    parser.add_argument("--ports-file", metavar="FILE", help="written once ready: JSON with metrics port and pid")
    parser.add_argument("--holder", default="", help="name of the lease holder (default: unique per process)")
    parser.add_argument("--poll-seconds", type=float, default=1.0, help="how often new rollouts are looked for")
    parser.add_argument("--probe-deadline-seconds", type=float, default=2.0, help="a probe unanswered by then failed")
    parser.add_argument(
        "--xds-listen", metavar="HOST:PORT", help="tells clients of xDS their split there (plaintext; loopback only)"
    )
    add_sink_options(parser)
    add_access_options(parser)
    options = parser.parse_args(arguments)
    if not options.poll_seconds > 0 or not options.probe_deadline_seconds > 0:
        raise ConfigError("--poll-seconds and --probe-deadline-seconds must be above 0")
    parse_address(options.control)
    parse_address(options.metrics_listen)
    parse_address(options.xds_listen or "127.0.0.1:0")
    if options.xds_listen and not is_loopback(options.xds_listen):
        raise ConfigError(
            f"--xds-listen {options.xds_listen}: whoever answers there moves the traffic, and the port has no TLS; "
            "listen on loopback and put a proxy with TLS before it"
        )
    replicas = options.replica or ["data=127.0.0.1:50051,metrics=http://127.0.0.1:9464/metrics"]
    security = security_of(options)
    parsed = tuple(replace(parse_replica(text), security=security) for text in replicas)
    for replica in parsed:
        host = urlsplit(replica.metrics_url).netloc
        if security.has_token and replica.metrics_url.startswith("http:") and not is_loopback(host):
            raise ConfigError(f"--replica: a token does not go to {replica.metrics_url} in plaintext; use https")
    if len({replica.name for replica in parsed}) != len(parsed):
        raise ConfigError("--replica: the same data address twice; each replica needs its own")
    return Config(
        control_address=options.control,
        replicas=parsed,
        security=security,
        page=page_access_of(options),
        target=options.target,
        metrics_address=options.metrics_listen,
        ports_file=options.ports_file,
        sinks=sinks_of(options, os.environ),
        holder=options.holder or default_holder(),
        poll_seconds=options.poll_seconds,
        probe_deadline_seconds=options.probe_deadline_seconds,
        xds_address=options.xds_listen,
    )
