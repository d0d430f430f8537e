"""What a backup holds: every file with its size and SHA-256, written last, so that a backup without it is none."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from covey_server.store import StoreError
from covey_server.store.sqlite import DATABASE_NAME

MANIFEST_NAME = "manifest.json"
DATASETS_FOLDER = "datasets"
_FORMAT = 1
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class BackupFile:
    """A file of a backup.

    Attributes:
        byte_count: its size.
        sha256: of its bytes, hexadecimal.
    """

    byte_count: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds.

    Attributes:
        time: when it was made, ISO 8601.
        covey_version: that made it.
        tables_version: of the tables in its database.
        files: by path below the backup's folder.
    """

    time: str
    covey_version: str
    tables_version: int
    files: Mapping[str, BackupFile]

    @property
    def byte_count(self) -> int:
        """Of all files."""
        return sum(file.byte_count for file in self.files.values())

    def to_json(self) -> str:
        """The manifest as it is stored."""
        files = {path: {"bytes": file.byte_count, "sha256": file.sha256} for path, file in sorted(self.files.items())}
        document = {
            "format": _FORMAT,
            "time": self.time,
            "covey_version": self.covey_version,
            "tables_version": self.tables_version,
            "files": files,
        }
        return json.dumps(document, indent=1) + "\n"


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a backup.

    Raises:
        StoreError: there is none, or it cannot be read.
    """
    path = folder / MANIFEST_NAME
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != _FORMAT:
            raise _no_backup(folder, f"its format is {document['format']}, this covey knows {_FORMAT}")
        files = {name: BackupFile(int(it["bytes"]), str(it["sha256"])) for name, it in document["files"].items()}
        manifest = Manifest(
            str(document["time"]), str(document["covey_version"]), int(document["tables_version"]), files
        )
    except OSError as error:
        raise _no_backup(folder, f"{MANIFEST_NAME}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _no_backup(folder, f"{MANIFEST_NAME} is damaged ({error})") from error
    strange = next((name for name in files if not _is_inside(name)), "")
    if strange or DATABASE_NAME not in files:
        raise _no_backup(folder, f"{MANIFEST_NAME} names {strange!r}" if strange else "it holds no database")
    return manifest


def check_backup(folder: Path) -> Manifest:
    """The manifest of a backup whose every file is as it was written.

    Raises:
        StoreError: a file is missing or has other bytes.
    """
    manifest = read_manifest(folder)
    for name, file in manifest.files.items():
        try:
            found = hashed(folder / name)
        except OSError as error:
            raise _no_backup(folder, f"{name}: {error.strerror}") from error
        if found != file:
            raise _no_backup(folder, f"{name} is not as it was written (its size or SHA-256 is another)")
    return manifest


def hashed(path: Path) -> BackupFile:
    """Size and SHA-256 of a file.

    Raises:
        OSError: it cannot be read.
    """
    digest, byte_count = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
            byte_count += len(piece)
    return BackupFile(byte_count, digest.hexdigest())


def _is_inside(name: str) -> bool:
    parts = Path(name).parts
    return name == DATABASE_NAME or (len(parts) == 3 and parts[0] == DATASETS_FOLDER and ".." not in parts)


def _no_backup(folder: Path, problem: str) -> StoreError:
    return StoreError(f"no good backup: {problem}", place=str(folder), remedy="use another backup, or make a new one")
