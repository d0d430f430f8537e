"""Programs that tests run for real, and free ports for them."""

from __future__ import annotations

import os
import shutil
import socket

import pytest


def program(name: str, *other_names: str) -> str:
    """Path of a program that CI installs; elsewhere its tests are skipped where it is absent, and say so."""
    for known in (name, *other_names):
        found = shutil.which(known) or shutil.which(known, path="/usr/sbin:/usr/bin")
        if found is not None:
            return found
    message = f"{name} is not installed; apt-get install {name}"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def free_port() -> int:
    """A port that was free a moment ago."""
    (port,) = free_ports(1)
    return port


def free_ports(count: int) -> list[int]:
    """So many, all different."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(listener.getsockname()[1]) for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports
