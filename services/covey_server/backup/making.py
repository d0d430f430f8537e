"""A backup of a data directory, made beside a live server that goes on writing.

The database is copied as one snapshot. Files of datasets never change once they have their name; they only come and
go. So those that are there are copied first, then the database, then what came in between; where a file went
in between, the database is copied again.
"""

from __future__ import annotations

import os
import shutil
from datetime import datetime
from pathlib import Path

from sqlalchemy import text

from covey import __version__, _core, failpoints
from covey_server.backup.manifest import DATASETS_FOLDER, MANIFEST_NAME, BackupFile, Manifest, check_backup, hashed
from covey_server.store import StoreError
from covey_server.store.address import database_url, is_shared, place_of
from covey_server.store.directory import directory_error, sync_directory, sync_file
from covey_server.store.migrations import refuse_newer, version_of
from covey_server.store.sqlite import DATABASE_NAME, copy_database, reading_at_rest

_MOST_ATTEMPTS = 20


def make_backup(data_directory: Path, folder: Path, now: datetime, url: str | None = None) -> Manifest:
    """Back a data directory up into a new folder; a server may run on it and is not disturbed.

    The folder has its name only once everything in it is synced and was read back.

    Args:
        data_directory: of the server.
        folder: must not exist.
        now: for the manifest.
        url: of the database, where it is not in the data directory.

    Raises:
        StoreError: there is no store, a file of it is damaged, or the backup cannot be written.
    """
    source = database_url(data_directory, url)
    if is_shared(source):
        raise StoreError(
            "a store that servers share is backed up by its own database",
            place=place_of(source),
            remedy="run pg_dump for it, and `covey state backup` without the URL for this server's datasets",
        )
    if not Path(str(source.database)).is_file():
        raise StoreError("there is no store", place=str(data_directory), remedy="name the --data-directory of a server")
    if folder.exists():
        raise StoreError("there is something already", place=str(folder), remedy="name a folder that does not exist")
    part = folder.with_name(f"{folder.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        (part / DATASETS_FOLDER).mkdir(parents=True)
        _take_files(data_directory, part)
        failpoints.reach("backup.files_taken")
        for _ in range(_MOST_ATTEMPTS):
            copy_database(source, part / DATABASE_NAME)
            failpoints.reach("backup.database_copied")
            _take_files(data_directory, part)
            version, listed = _listed(part / DATABASE_NAME)
            if all((part / name).is_file() for name in listed):
                break
        else:
            raise StoreError("files come and go too fast", place=str(data_directory), remedy="try again later")
        files = _checked(part, listed, data_directory)
        manifest = Manifest(now.isoformat(timespec="seconds"), __version__, version, files)
        (part / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
        _sync_tree(part)
        failpoints.reach("backup.written")
        check_backup(part)
        part.rename(folder)
        sync_directory(folder.parent)
    except OSError as error:
        raise directory_error(error, folder) from error
    return manifest


def _take_files(data_directory: Path, part: Path) -> None:
    """Copy every dataset file that is there and was not taken yet."""
    root = data_directory / DATASETS_FOLDER
    for path in sorted(root.glob("*/*")):
        target = part / DATASETS_FOLDER / path.parent.name / path.name
        if target.exists() or path.suffix == ".tmp":
            continue
        target.parent.mkdir(exist_ok=True)
        try:
            # No link: what happens to the disk's blocks must not happen to both.
            unfinished = target.with_name(f"{target.name}.part")
            shutil.copyfile(path, unfinished)
            unfinished.rename(target)
        except FileNotFoundError:
            unfinished.unlink(missing_ok=True)  # it went; the database decides whether it was needed


def _listed(database: Path) -> tuple[int, dict[str, int | None]]:
    """The version of a database's tables, and the dataset files that it names, with their CRC-32 where it knows it."""
    with reading_at_rest(database) as connection:
        refuse_newer(connection, str(database))
        version = version_of(connection)
        if version is None:
            raise StoreError("no covey has kept its tables here", place=str(database), remedy="name a data directory")
        listed: dict[str, int | None] = {}
        for table, crc32 in (("segments", "crc32"), ("trait_states", "NULL")):
            query = f"SELECT name, file, {crc32} AS crc32 FROM {table} JOIN datasets USING (dataset)"  # noqa: S608
            for row in connection.execute(text(query)):
                listed[f"{DATASETS_FOLDER}/{row.name.removeprefix('datasets/')}/{row.file}"] = row.crc32
    return version, listed


def _checked(part: Path, listed: dict[str, int | None], data_directory: Path) -> dict[str, BackupFile]:
    """Every file of the backup with its digest; what the database does not name is left out."""
    for path in (part / DATASETS_FOLDER).glob("*/*"):
        if str(path.relative_to(part)) not in listed:
            path.unlink()
    files = {DATABASE_NAME: hashed(part / DATABASE_NAME)}
    for name, crc32 in listed.items():
        files[name] = hashed(part / name)
        if crc32 is not None and _core.crc32([(part / name).read_bytes()]) != crc32:
            raise StoreError(
                f"{name} is damaged (its CRC-32 is another than when it was written)",
                place=str(data_directory),
                remedy="restore the last good backup, or delete that dataset",
            )
    return files


def _sync_tree(folder: Path) -> None:
    for path, _, names in os.walk(folder):
        for name in names:
            sync_file(Path(path) / name)
        sync_directory(Path(path))
