"""A real PostgreSQL for tests: Debian's package, a cluster of its own on a socket of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from itertools import count
from pathlib import Path

import pytest

_SECONDS = 120


class Cluster:
    """A running PostgreSQL without a network port; `database` makes an empty database in it."""

    def __init__(self) -> None:
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not programs:
            message = "PostgreSQL is not installed (Debian's package `postgresql`)"
            if os.environ.get("CI") == "true":
                pytest.fail(message)
            pytest.skip(message)
        self._programs = programs[-1].parent
        # Sockets have short names, and the server's own user must reach the folder.
        self.folder = Path(tempfile.mkdtemp(prefix="covey-pg-"))
        self.folder.chmod(0o755)
        # PostgreSQL refuses to run as root.
        self._as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self._as_user:
            shutil.chown(self.folder, "postgres")
        self._numbers = count()
        self._run("initdb", "--username=covey", "--auth=trust", "--encoding=UTF8", "-D", self._data)
        self.start()

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def start(self) -> None:
        """Start it; returns once it answers."""
        options = f"-c listen_addresses='' -c unix_socket_directories={self.folder}"
        self._run("pg_ctl", "start", "-w", "-D", self._data, "-l", str(self.folder / "log"), "-o", options)

    def stop(self) -> None:
        """Stop it as a crash would: connections are closed and nothing is written."""
        self._run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", self._data)

    def database(self) -> str:
        """The URL of a new database."""
        name = f"covey{next(self._numbers)}"
        self._run("createdb", "--host", str(self.folder), "--username", "covey", name)
        return self.url(name)

    def url(self, database: str) -> str:
        """The URL of a database, whether it is there or not."""
        return f"postgresql+psycopg://covey@/{database}?host={self.folder}"

    def remove(self) -> None:
        """Stop it and forget everything."""
        self.stop()
        shutil.rmtree(self.folder)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*self._as_user, str(self._programs / program), *arguments],
            # Not a pipe: the server that `pg_ctl` leaves behind would hold it open.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            timeout=_SECONDS,
            check=False,
        )
        log = self.folder / "log"
        assert done.returncode == 0, f"{program} failed: {log.read_text() if log.exists() else ''}"
