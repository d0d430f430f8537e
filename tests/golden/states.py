"""State that earlier coveys left behind: a data directory as SQL and the few files beside it."""

from __future__ import annotations

import base64
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
VERSIONS = sorted(int(path.name.removeprefix("state-")) for path in HERE.glob("state-*"))


def lay_out(version: int, directory: Path) -> dict[str, Any]:
    """Make the data directory of a version; returns what is known of its rollouts."""
    source = HERE / f"state-{version}"
    directory.mkdir(parents=True)
    with closing(sqlite3.connect(directory / "covey.db")) as connection:
        connection.executescript((source / "covey.sql").read_text())
    for name, content in json.loads((source / "files.json").read_text()).items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(content))
    known: dict[str, Any] = json.loads((source / "expected.json").read_text())
    return known


def dumped(directory: Path) -> list[str]:
    """The database of a directory as SQL, without who opened it last and when."""
    with closing(sqlite3.connect(directory / "covey.db")) as connection:
        return [line for line in connection.iterdump() if not line.startswith(('INSERT INTO "schema_version"',))]


def columns(directory: Path) -> dict[str, list[tuple[Any, ...]]]:
    """The tables of a directory with their columns, however they came to be."""
    with closing(sqlite3.connect(directory / "covey.db")) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        tables = {}
        for name in names:
            described = connection.execute(f"PRAGMA table_info({name})").fetchall()
            tables[name] = sorted(tuple(column[1:]) for column in described)
        return tables
