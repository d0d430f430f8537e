"""How a server was asked to run: the command line as one frozen, checked object."""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from covey.access.certificates import CertificateFiles
from covey_server.answering.faults import FaultError, FaultPlan, load_plan
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


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Everything that a server is told at its start.

    Attributes:
        data_directory: store, datasets and models.
        listen: of the data port.
        control_listen: of the control port.
        metrics_listen: of the metrics port.
        stable: id of the variant that is stable in a new data directory.
        threads: that serve calls of the data port.
        queue_limit: calls that may wait for one of them.
        call_deadline_seconds: for one per-learner question.
        trait_state_megabytes: of memory for what is kept of datasets' learners between appends.
        ballast_kilobytes: set aside on the disk, so that a rollback is recorded where there is no space; 0: none.
        drain_grace_seconds: for calls in flight when the server is told to stop.
        store_url: of another database than the SQLite file in the data directory.
        ports_file: JSON with the ports in use, written once the server is ready.
        replica: names this server; empty: host name and data port.
        log_level: of the structured logs.
        faults_enabled: whether faults on purpose may be loaded.
        fault_plan: the faults on purpose; None: none.
        fault_seed: decides which calls they hit.
        tokens: file that says who may do what; None: everybody may do everything, by their own word.
        tls: certificate of every port; None: plaintext.
        calls_per_second: of one principal on the data port; 0: as many as it likes.
        memory_megabytes: for what calls in flight work on.
        insecure_listen: whether strangers or plaintext are allowed beyond this machine.
    """

    data_directory: Path
    listen: Address = Address("127.0.0.1", 50051)
    control_listen: Address = Address("127.0.0.1", 50052)
    metrics_listen: Address = Address("127.0.0.1", 9464)
    stable: str = "reference"
    threads: int = 8
    queue_limit: int = 64
    call_deadline_seconds: float = 2.0
    trait_state_megabytes: int = 1024
    ballast_kilobytes: int = 2048
    drain_grace_seconds: float = 10.0
    store_url: str | None = None
    ports_file: Path | None = None
    replica: str = ""
    log_level: str = "info"
    faults_enabled: bool = False
    fault_plan: FaultPlan | None = None
    fault_seed: int = 0
    tokens: Path | None = None
    tls: CertificateFiles | None = None
    calls_per_second: int = 0
    memory_megabytes: int = 512
    insecure_listen: bool = False

    def replica_name(self, data_port: int) -> str:
        """What the metrics page and the journal call this server."""
        return self.replica or f"{socket.gethostname()}:{data_port}"


def parse(arguments: Sequence[str] | None = None) -> ServerConfig:
    """The configuration of a command line (of this process by default).

    Raises:
        SystemExit: status 2, after one line that says what is wrong.
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        fault_plan = load_plan(given.fault, enabled=given.enable_faults)
    except FaultError as error:
        parser.error(str(error))
    tls = _tls(parser, given)
    return ServerConfig(
        data_directory=given.data_directory,
        listen=given.listen,
        control_listen=given.control_listen,
        metrics_listen=given.metrics_listen,
        stable=given.stable,
        threads=given.threads,
        queue_limit=given.queue_limit,
        call_deadline_seconds=given.call_deadline,
        trait_state_megabytes=given.trait_state_megabytes,
        ballast_kilobytes=given.ballast_kilobytes,
        drain_grace_seconds=given.drain_grace,
        store_url=given.store_url,
        ports_file=given.ports_file,
        replica=given.replica,
        log_level=given.log_level,
        faults_enabled=given.enable_faults,
        fault_plan=fault_plan,
        fault_seed=given.fault_seed,
        tokens=given.tokens,
        tls=tls,
        calls_per_second=given.calls_per_second,
        memory_megabytes=given.memory_megabytes,
        insecure_listen=given.insecure_listen,
    )


def address(text: str) -> Address:
    """An address of the form HOST:PORT or [IPV6]:PORT.

    Raises:
        argparse.ArgumentTypeError: for another form.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or int(port) > _LARGEST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no address; expected HOST:PORT such as 127.0.0.1:50051")
    return Address(host, int(port))


def _tls(parser: argparse.ArgumentParser, given: argparse.Namespace) -> CertificateFiles | None:
    if (given.tls_cert is None) != (given.tls_key is None):
        parser.error("--tls-cert goes with --tls-key: a certificate and its private key")
    if given.tls_client_ca is not None and (given.tls_cert is None or given.tokens is None):
        parser.error(
            "--tls-client-ca goes with --tls-cert, --tls-key and --tokens: the file says what each certificate may do"
        )
    if given.tls_cert is None:
        return None
    return CertificateFiles(given.tls_cert, given.tls_key, given.tls_client_ca)


def _whole(low: int, high: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
        return int(text)

    return number


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0 and at most 3600")
    return seconds


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("covey-server", description="Serve covey.v1 over gRPC.")
    defaults = ServerConfig(Path())
    add = parser.add_argument
    add("--data-directory", type=Path, required=True, metavar="DIR", help="store, datasets and models; made if absent")
    add("--listen", type=address, default=defaults.listen, metavar="HOST:PORT", help="data port (%(default)s)")
    add("--control-listen", type=address, default=defaults.control_listen, metavar="HOST:PORT", help="(%(default)s)")
    add("--metrics-listen", type=address, default=defaults.metrics_listen, metavar="HOST:PORT", help="(%(default)s)")
    add("--stable", default=defaults.stable, metavar="VARIANT", help="stable variant of a new directory (%(default)s)")
    add("--threads", type=_whole(1, _MOST_THREADS), default=defaults.threads, help="that serve calls (%(default)s)")
    add("--queue-limit", type=_whole(1, 100_000), default=defaults.queue_limit, help="waiting calls (%(default)s)")
    add(
        "--call-deadline",
        type=_seconds,
        default=defaults.call_deadline_seconds,
        metavar="SECONDS",
        help="(%(default)s)",
    )
    add(
        "--trait-state-megabytes",
        type=_whole(1, 1 << 20),
        default=defaults.trait_state_megabytes,
        metavar="MB",
        help="memory for the trait states of datasets; the longest unused go to disk beyond it (%(default)s)",
    )
    add(
        "--ballast-kilobytes",
        type=_whole(0, 1 << 20),
        default=defaults.ballast_kilobytes,
        metavar="KB",
        help="set aside on the disk, so that a rollback can be recorded when it is full (%(default)s)",
    )
    add("--drain-grace", type=_seconds, default=defaults.drain_grace_seconds, metavar="SECONDS", help="(%(default)s)")
    add("--store-url", default=None, metavar="URL", help="another database than the SQLite file in the data directory")
    add("--tokens", type=Path, default=None, metavar="FILE", help="who may do what, written by `covey token`")
    add("--tls-cert", type=Path, default=None, metavar="FILE", help="certificate of every port (PEM), with --tls-key")
    add("--tls-key", type=Path, default=None, metavar="FILE", help="its private key; both are read again on change")
    add("--tls-client-ca", type=Path, default=None, metavar="FILE", help="ask every client for a certificate of these")
    add(
        "--calls-per-second",
        type=_whole(0, 10**6),
        default=defaults.calls_per_second,
        metavar="N",
        help="of one principal on the data port; 0: no limit (%(default)s)",
    )
    add(
        "--memory-megabytes",
        type=_whole(128, 1 << 20),
        default=defaults.memory_megabytes,
        metavar="MB",
        help="for what calls in flight work on; more is refused at once (%(default)s)",
    )
    add("--insecure-listen", action="store_true", help="allow strangers or plaintext beyond this machine")
    add("--ports-file", type=Path, default=None, metavar="FILE", help="JSON with the ports in use, written once ready")
    add("--replica", default=os.environ.get("COVEY_REPLICA", ""), metavar="NAME", help="default: host name and port")
    add("--log-level", choices=LEVELS, default=defaults.log_level, help="(%(default)s)")
    add("--enable-faults", action="store_true", help="allow faults on purpose; never where it matters")
    add("--fault", action="append", default=[], metavar="FAULT", help="such as error-rate=0.03; may be repeated")
    add("--fault-seed", type=_whole(0, 2**31), default=defaults.fault_seed, metavar="N", help="(%(default)s)")
    return parser
