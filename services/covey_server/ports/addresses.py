"""Addresses that a server listens on: said in plain words why one cannot be used; shared with other servers or not."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

from covey_server.failures import StartError

if TYPE_CHECKING:
    import grpc

    from covey_server.config import Address, ServerConfig


def check_all(config: ServerConfig) -> None:
    """Look at every address that a server is to listen on, before anything is begun.

    Raises:
        StartError: one cannot be used.
    """
    for address, option in (
        (config.listen, "--listen"),
        (config.control_listen, "--control-listen"),
        (config.metrics_listen, "--metrics-listen"),
    ):
        check_free(address, option)
    for shared, option in (
        (config.shared_listen, "--shared-listen"),
        (config.shared_control_listen, "--shared-control-listen"),
    ):
        if shared is not None:
            check_free(shared, option, is_shared=True)


def ageing(seconds: int) -> tuple[tuple[str, int], ...]:
    """Options of a server whose callers connect anew after so many seconds (0: never), calls in flight unharmed.

    The kernel spreads connections over the servers of a shared address as they come: after a restart the others would
    keep all of them.
    """
    return (("grpc.max_connection_age_ms", seconds * 1000),) if seconds else ()


def bind(
    server: grpc.Server,
    address: Address,
    option: str,
    credentials: grpc.ServerCredentials | None,
    *,
    is_shared: bool = False,
) -> int:
    """The port that `server` listens on.

    Raises:
        StartError: the address cannot be used.
    """
    check_free(address, option, is_shared=is_shared)
    try:
        if credentials is not None:
            return int(server.add_secure_port(str(address), credentials))
        return int(server.add_insecure_port(str(address)))
    except RuntimeError as error:
        raise StartError(f"{option} {address}: cannot listen there ({error}); choose another address") from error


def check_free(address: Address, option: str, *, is_shared: bool = False) -> None:
    """Say in plain words why an address cannot be used, before a library says it in its own.

    Args:
        address: where somebody wants to listen.
        option: that says so.
        is_shared: whether others who share it, too, may listen there.

    Raises:
        StartError: the host is unknown, the port is in use or not allowed.
    """
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise StartError(f"{option} {address}: unknown host ({error.strerror}); choose another address") from error
    family, kind, protocol, _, place = found[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT if is_shared else socket.SO_REUSEADDR, 1)
        try:
            probe.bind(place)
        except OSError as error:
            raise StartError(f"{option} {address}: {_remedy(error)}") from error


def _remedy(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the port is in use; stop what listens there, or choose another port (0 picks a free one)"
    if error.errno == errno.EACCES:
        return "this user may not listen on that port; choose one above 1023"
    return f"cannot listen there ({os.strerror(error.errno or 0)}); choose another address"
