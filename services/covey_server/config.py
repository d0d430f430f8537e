"""How a server was asked to run, as one frozen, checked object."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from covey.access.certificates import CertificateFiles
from covey.configuration.options import ConfigurationError
from covey.configuration.settings import Settings, parser_of, read_settings
from covey_server.answering.faults import FaultError, FaultPlan, load_plan
from covey_server.options import SECTION, Address

_DATA = Address("127.0.0.1", 50051)
_CONTROL = Address("127.0.0.1", 50052)
_METRICS = Address("127.0.0.1", 9464)


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
    listen: Address = _DATA
    control_listen: Address = _CONTROL
    metrics_listen: Address = _METRICS
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


def parse(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> ServerConfig:
    """The configuration of a command line (of this process by default), its environment and its file.

    Raises:
        SystemExit: status 2, after one line that says what is wrong.
    """
    try:
        return config_of(read_settings(SECTION, arguments, os.environ if environment is None else environment))
    except ConfigurationError as error:
        parser_of(SECTION).error(str(error))


def config_of(settings: Settings) -> ServerConfig:
    """What a server's settings amount to.

    Raises:
        ConfigurationError: some do not go together.
    """
    try:
        fault_plan = load_plan(settings["fault"], enabled=settings["enable_faults"])
    except FaultError as error:
        raise ConfigurationError(str(error)) from error
    return ServerConfig(
        data_directory=settings["data_directory"],
        listen=settings["listen"],
        control_listen=settings["control_listen"],
        metrics_listen=settings["metrics_listen"],
        stable=settings["stable"],
        threads=settings["threads"],
        queue_limit=settings["queue_limit"],
        call_deadline_seconds=settings["call_deadline"],
        trait_state_megabytes=settings["trait_state_megabytes"],
        ballast_kilobytes=settings["ballast_kilobytes"],
        drain_grace_seconds=settings["drain_grace"],
        store_url=settings["store_url"],
        ports_file=settings["ports_file"],
        replica=settings["replica"] or "",
        log_level=settings["log_level"],
        faults_enabled=settings["enable_faults"],
        fault_plan=fault_plan,
        fault_seed=settings["fault_seed"],
        tokens=settings["tokens"],
        tls=_tls(settings),
        calls_per_second=settings["calls_per_second"],
        memory_megabytes=settings["memory_megabytes"],
        insecure_listen=settings["insecure_listen"],
    )


def _tls(settings: Settings) -> CertificateFiles | None:
    certificate, key, client_ca = settings["tls_cert"], settings["tls_key"], settings["tls_client_ca"]
    if (certificate is None) != (key is None):
        raise ConfigurationError("--tls-cert goes with --tls-key: a certificate and its private key")
    if client_ca is not None and (certificate is None or settings["tokens"] is None):
        raise ConfigurationError(
            "--tls-client-ca goes with --tls-cert, --tls-key and --tokens: the file says what each certificate may do"
        )
    return None if certificate is None else CertificateFiles(certificate, key, client_ca)


__all__ = ["Address", "ServerConfig", "config_of", "parse"]
