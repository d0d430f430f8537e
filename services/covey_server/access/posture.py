"""How safe a server is by its command line: what is refused, and what is said at the start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from covey.access.addresses import is_loopback
from covey_server.failures import StartError

if TYPE_CHECKING:
    from covey_server.config import ServerConfig


def check(config: ServerConfig) -> None:
    """Refuse to listen beyond this machine in plaintext, or to strangers, unless that is what was asked for.

    Raises:
        StartError: naming the address and the options that are missing.
    """
    if config.insecure_listen:
        return
    for option, address in _addresses(config):
        if is_loopback(str(address)):
            continue
        missing = [*_missing(config)]
        if missing:
            raise StartError(
                f"{option} {address} is beyond this machine and needs {' and '.join(missing)}; or listen on 127.0.0.1,"
                " or say --insecure-listen where everybody who reaches that address may read and do everything"
            )


def words(config: ServerConfig) -> str:
    """One line for whoever starts the server: who can read along, and who may do what."""
    encrypted = "TLS" if config.tls is not None else "plaintext"
    beyond = ", ".join(str(address) for _, address in _addresses(config) if not is_loopback(str(address)))
    if config.tokens is not None:
        if beyond and config.tls is None:
            return f"access: INSECURE, plaintext: tokens cross the network to {beyond} unencrypted ({config.tokens})"
        proof = "certificate or token" if config.tls and config.tls.client_authority else "token"
        return f"access: {encrypted}, callers are known by {proof} ({config.tokens})"
    if beyond:
        return f"access: INSECURE, {encrypted}: everybody who reaches {beyond} may do everything"
    return f"access: {encrypted}, everybody on this machine may do everything (--tokens ends that)"


def _missing(config: ServerConfig) -> list[str]:
    missing = [] if config.tls is not None else ["TLS (--tls-cert, --tls-key)"]
    return missing if config.tokens is not None else [*missing, "callers that it knows (--tokens)"]


def _addresses(config: ServerConfig) -> list[tuple[str, object]]:
    shared = (("--shared-listen", config.shared_listen), ("--shared-control-listen", config.shared_control_listen))
    return [
        ("--listen", config.listen),
        ("--control-listen", config.control_listen),
        ("--metrics-listen", config.metrics_listen),
        *((option, address) for option, address in shared if address is not None),
    ]
