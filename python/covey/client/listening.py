"""Whether anything at all listens where no covey server answers."""

from __future__ import annotations

import socket

_CONNECT_SECONDS = 1.0


def accepts_connections(address: str) -> bool:
    """Whether a TCP connection to `host:port` is accepted; False for what is no such address."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS):
            return True
    except (OSError, ValueError):
        return False
