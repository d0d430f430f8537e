"""Who works on a shared store: each connection says which covey it is and which tables that knows."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

_PROGRAM = "covey-server"
_PROCESS = secrets.token_hex(4)
_NAME = re.compile(rf"{_PROGRAM} (?P<version>\S+) tables (?P<tables>\d+) (?P<process>[0-9a-f]+)")


@dataclass(frozen=True, slots=True)
class Server:
    """A process that works on the store.

    Attributes:
        version: of covey; empty before 0.2, when servers did not say.
        tables: the newest version of the tables that it knows; None where it does not say.
        process: tells processes apart; empty where it does not say, and several may be one.
    """

    version: str
    tables: int | None
    process: str

    def words(self) -> str:
        """For people."""
        if self.tables is None:
            return "an older covey that does not say its version"
        return f"covey {self.version} (tables of version {self.tables})"


def connection_name(version: str, tables: int) -> str:
    """What this process calls its connections."""
    return f"{_PROGRAM} {version} tables {tables} {_PROCESS}"


def servers_of(names: Iterable[str]) -> list[Server]:
    """The servers that hold connections of these names, without this process and without what is no server."""
    servers = set()
    for name in names:
        if not name.startswith(_PROGRAM):
            continue
        match = _NAME.fullmatch(name)
        if match is None:
            servers.add(Server("", None, ""))
        elif match["process"] != _PROCESS:
            servers.add(Server(match["version"], int(match["tables"]), match["process"]))
    return sorted(servers, key=lambda server: (server.tables or 0, server.process))
