"""Programs that tests run for real, and free ports for them."""

from __future__ import annotations

import os
import random
import shutil
import socket
from pathlib import Path

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
    """A port as `free_ports` finds them."""
    (port,) = free_ports(1)
    return port


def free_ports(count: int) -> list[int]:
    """So many, all different, where nobody listens and that no connection is given: not now, nor while what listens
    there starts again."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    below = range(min(10_000, lowest // 2), lowest)
    found: list[int] = []
    # Of its own: property tests set the state of the common one, in every worker to the same.
    for port in random.SystemRandom().sample(below, len(below)):
        if len(found) == count:
            break
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
    return found


def processes_below(process: int) -> dict[int, bytes]:
    """The command lines of the processes that a process started, and that those started, by number."""
    children: dict[int, list[int]] = {}
    titles: dict[int, bytes] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            titles[int(folder.name)] = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        children.setdefault(parent, []).append(int(folder.name))
    found: dict[int, bytes] = {}
    waiting = [process]
    while waiting:
        for child in children.get(waiting.pop(), []):
            found[child] = titles[child]
            waiting.append(child)
    return found
