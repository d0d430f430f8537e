"""How a server was asked to run, as one frozen, checked object."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from covey.access.certificates import CertificateFiles
from covey.configuration.options import ConfigurationError
from covey.configuration.settings import Settings, parser_of, read_settings
from covey_server.answering.faults import FaultError, FaultPlan, load_plan
from covey_server.options import SECTION, Address

_DATA = Address("127.0.0.1", 50051)
_CONTROL = Address("127.0.0.1", 50052)
_METRICS = Address("127.0.0.1", 9464)
_CONNECTION_AGE_OF_REPLICAS_SECONDS = 60


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Everything that a server is told at its start.

    Attributes:
        data_directory: store, datasets and models.
        listen: of the data port.
        control_listen: of the control port.
        metrics_listen: of the metrics port.
        replicas: processes behind the addresses; with several each has ports and a data directory of its own.
        shared_listen: another data port, which other servers of this machine may answer, too.
        shared_control_listen: another control port of that kind.
        stable: id of the variant that is stable in a new data directory.
        threads: that serve calls of the data port.
        queue_limit: calls that may wait for one of them.
        call_deadline_seconds: for one per-learner question.
        trait_state_megabytes: of memory for what is kept of datasets' learners between appends.
        ballast_kilobytes: set aside on the disk, so that a rollback is recorded where there is no space; 0: none.
        drain_grace_seconds: for calls in flight when the server is told to stop.
        connection_age_seconds: after which callers are asked to connect anew; 0: never.
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
        ray_address: of the Ray cluster for discoveries that ask for it; "local": started for each; empty: refused.
        ray_folder: which every worker of it sees; None: in the data directory.
    """

    data_directory: Path
    listen: Address = _DATA
    control_listen: Address = _CONTROL
    metrics_listen: Address = _METRICS
    replicas: int = 1
    shared_listen: Address | None = None
    shared_control_listen: Address | None = None
    stable: str = "reference"
    threads: int = 8
    queue_limit: int = 64
    call_deadline_seconds: float = 2.0
    trait_state_megabytes: int = 1024
    ballast_kilobytes: int = 2048
    drain_grace_seconds: float = 10.0
    connection_age_seconds: int = 0
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
    ray_address: str = ""
    ray_folder: Path | None = None

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
        replicas=_replicas(settings),
        shared_listen=settings["shared_listen"],
        shared_control_listen=settings["shared_control_listen"],
        stable=settings["stable"],
        threads=settings["threads"],
        queue_limit=settings["queue_limit"],
        call_deadline_seconds=settings["call_deadline"],
        trait_state_megabytes=settings["trait_state_megabytes"],
        ballast_kilobytes=settings["ballast_kilobytes"],
        drain_grace_seconds=settings["drain_grace"],
        connection_age_seconds=_connection_age_seconds(settings),
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
        ray_address=_ray_address(settings),
        ray_folder=settings["ray_folder"],
    )


def _ray_address(settings: Settings) -> str:
    address: str = settings["ray_address"] or ""
    if address and find_spec("ray") is None:
        raise ConfigurationError("--ray-address needs Ray, which is not installed: pip install 'covey[ray]'")
    if settings["ray_folder"] and not address:
        raise ConfigurationError("--ray-folder goes with --ray-address: local, or the address of a cluster")
    return address


def _replicas(settings: Settings) -> int:
    count: int = settings["replicas"]
    if count == 1:
        return count
    if not (settings["store_url"] or "").startswith("postgresql"):
        raise ConfigurationError(
            f"--replicas {count} goes with --store-url postgresql://USER@HOST/DATABASE: rollouts, variants and outcomes"
            " of the replicas are kept there, and an SQLite file has one server"
        )
    if settings["shared_listen"] or settings["shared_control_listen"]:
        raise ConfigurationError(
            "--replicas goes without --shared-listen and --shared-control-listen: the replicas share --listen and"
            " --control-listen"
        )
    return count


def _connection_age_seconds(settings: Settings) -> int:
    said: int | None = settings["connection_age"]
    if said is not None:
        return said
    return _CONNECTION_AGE_OF_REPLICAS_SECONDS if settings["replicas"] > 1 else 0


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
