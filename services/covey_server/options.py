"""What a server can be told: the one list from which its flags, variables, file keys and page are made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from covey.configuration.options import Group, Option, Section, seconds, whole, without_password
from covey_server.logs import LEVELS

_LARGEST_PORT = 65_535
_MOST_THREADS = 256


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; port 0 picks a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def address(text: str) -> Address:
    """An address of the form HOST:PORT or [IPV6]:PORT.

    Raises:
        ValueError: another form.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or int(port) > _LARGEST_PORT:
        raise ValueError(f"{text!r} is no address; expected HOST:PORT such as 127.0.0.1:50051")
    return Address(host, int(port))


def _listen(name: str, port: int, help_text: str) -> Option:
    return Option(name, help_text, f"127.0.0.1:{port}", "HOST:PORT", address)


_PLACES = Group(
    "Where",
    (
        Option("data-directory", "store, datasets and models; made if absent", "", "DIR", Path, is_required=True),
        _listen("listen", 50051, "data port"),
        _listen("control-listen", 50052, "control port"),
        _listen("metrics-listen", 9464, "metrics page and /healthz"),
        Option("replicas", "processes that answer behind --listen and --control-listen", "1", "N", whole(1, 64)),
        Option(
            "shared-listen",
            "a data port that other servers of this machine and user answer, too (SO_REUSEPORT)",
            "",
            "HOST:PORT",
            address,
        ),
        Option("shared-control-listen", "a control port of that kind", "", "HOST:PORT", address),
        Option(
            "store-url",
            "another database than the SQLite file in the data directory",
            "",
            "URL",
            shown=without_password,
        ),
        Option("ports-file", "JSON with the ports in use, written once ready", "", "FILE", Path),
        Option(
            "replica",
            "name of this server in journal and metrics; by default host name and data port",
            "",
            "NAME",
            variable="COVEY_REPLICA",
        ),
        Option("stable", "stable variant of a new data directory", "reference", "VARIANT"),
        Option(
            "ray-address",
            "of a Ray cluster for discoveries that ask for it, such as ray://head:10001; local: started here for each;"
            " without one they are refused",
            "",
            "ADDRESS",
        ),
        Option("ray-folder", "which every worker of it sees; by default in the data directory", "", "DIR", Path),
    ),
)
_LOAD = Group(
    "How much",
    (
        Option("threads", "that serve calls of the data port", "8", "N", whole(1, _MOST_THREADS)),
        Option("queue-limit", "calls that may wait for one of them; more are refused", "64", "N", whole(1, 100_000)),
        Option("call-deadline", "for one per-learner question", "2", "SECONDS", seconds),
        Option("drain-grace", "for calls in flight when the server is told to stop", "10", "SECONDS", seconds),
        Option(
            "connection-age",
            "after which callers are asked to connect anew, so that they spread over replicas; 0: never;"
            " by default 60 with --replicas, else 0",
            "",
            "SECONDS",
            whole(0, 86_400),
        ),
        Option(
            "calls-per-second",
            "of one principal on the data port; 0: no limit",
            "0",
            "N",
            whole(0, 10**6),
        ),
        Option(
            "memory-megabytes",
            "for what calls in flight work on; more is refused at once",
            "512",
            "MB",
            whole(128, 1 << 20),
        ),
        Option(
            "trait-state-megabytes",
            "memory for the trait states of datasets; the longest unused go to disk beyond it",
            "1024",
            "MB",
            whole(1, 1 << 20),
        ),
        Option(
            "ballast-kilobytes",
            "set aside on the disk, so that a rollback can be recorded when it is full; 0: none",
            "2048",
            "KB",
            whole(0, 1 << 20),
        ),
    ),
)
_ACCESS = Group(
    "Who",
    (
        Option("tokens", "who may do what, written by `covey token`", "", "FILE", Path),
        Option("tls-cert", "certificate of every port (PEM), with --tls-key", "", "FILE", Path),
        Option("tls-key", "its private key; both are read again on change", "", "FILE", Path),
        Option("tls-client-ca", "ask every client for a certificate of these", "", "FILE", Path),
        Option("insecure-listen", "allow strangers or plaintext beyond this machine", is_switch=True),
    ),
)
_REST = Group(
    "Logs and faults",
    (
        Option("log-level", "of the structured logs", "info", choices=tuple(LEVELS)),
        Option("enable-faults", "allow faults on purpose; never where it matters", is_switch=True),
        Option("fault", "such as error-rate=0.03; may be repeated", "", "FAULT", is_repeated=True),
        Option("fault-seed", "decides which calls they hit", "0", "N", whole(0, 2**31)),
    ),
)

SECTION = Section("server", "covey-server", "Serve covey.v1 over gRPC.", (_PLACES, _LOAD, _ACCESS, _REST))
