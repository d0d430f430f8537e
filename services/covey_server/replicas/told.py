"""What each replica is told: ports and a data directory of its own, and the addresses that all of them answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from covey_server.config import ServerConfig
from covey_server.failures import StartError
from covey_server.options import Address

PORT_STEP = 10
"""Between the ports of one replica and the next."""
_LARGEST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Replica:
    """One of the processes.

    Attributes:
        name: of its folder in the data directory, "replica-1" and so on.
        directory: its data directory.
        ports_file: it writes this once it is ready.
        arguments: of `covey-server`.
    """

    name: str
    directory: Path
    ports_file: Path
    arguments: tuple[str, ...]


def replicas_of(config: ServerConfig, data: Address, control: Address, given: Sequence[str]) -> tuple[Replica, ...]:
    """The replicas of a configuration: number i, from 1, has every port `10 * i` above what the configuration names.

    Args:
        config: with `replicas` of at least 1.
        data: the data port that they share; no port 0.
        control: the control port that they share; no port 0.
        given: the command line of all of them, of which what follows wins.

    Raises:
        StartError: there is no port of that number.
    """
    return tuple(_replica(config, number, data, control, given) for number in range(1, config.replicas + 1))


def _replica(config: ServerConfig, number: int, data: Address, control: Address, given: Sequence[str]) -> Replica:
    name = f"replica-{number}"
    directory = config.data_directory / name
    ports_file = directory / "ports.json"
    own = {
        "--data-directory": str(directory),
        "--ports-file": str(ports_file),
        "--replicas": "1",
        "--listen": str(_moved(config.listen, number, "--listen")),
        "--control-listen": str(_moved(config.control_listen, number, "--control-listen")),
        "--metrics-listen": str(_moved(config.metrics_listen, number, "--metrics-listen")),
        "--shared-listen": str(data),
        "--shared-control-listen": str(control),
        "--connection-age": str(config.connection_age_seconds),
    }
    if config.replica:
        own["--replica"] = f"{config.replica}-{number}"
    return Replica(name, directory, ports_file, (*given, *(word for pair in own.items() for word in pair)))


def _moved(address: Address, number: int, option: str) -> Address:
    """The address of a replica's own port; free ports stay free ports."""
    if address.port == 0:
        return address
    port = address.port + PORT_STEP * number
    if port > _LARGEST_PORT:
        raise StartError(f"{option} {address}: replica {number} would have port {port}; choose a lower port")
    return Address(address.host, port)
