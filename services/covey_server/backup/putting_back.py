"""Putting a backup in the place of a data directory's state: checked first, staged, and moved in by name.

Between the first and the last move a mark in the directory keeps servers from starting on half of it; whoever restores
again goes on from there.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from covey import failpoints
from covey_server.backup.manifest import DATASETS_FOLDER, Manifest, check_backup
from covey_server.store import StoreError
from covey_server.store.directory import RESTORING_NAME, DirectoryLock, directory_error, sync_directory, sync_file
from covey_server.store.sqlite import DATABASE_NAME

_STAGE_NAME = "restore.part"
_STATE_NAMES = (DATABASE_NAME, f"{DATABASE_NAME}-wal", f"{DATABASE_NAME}-shm", DATASETS_FOLDER)


def restore_backup(folder: Path, data_directory: Path, *, overwrite: bool = False) -> tuple[Manifest, Path | None]:
    """Put a backup in the place of what a data directory holds.

    Args:
        folder: of the backup.
        data_directory: made if absent; no server may run on it.
        overwrite: whether state that is there may go; it is kept in a folder beside it, which the answer names.

    Raises:
        StoreError: the backup is damaged, a server runs, or there is state that may not go; nothing is changed.
    """
    manifest = check_backup(folder)
    lock = DirectoryLock(data_directory)
    try:
        mark = data_directory / RESTORING_NAME
        there = [name for name in _STATE_NAMES if (data_directory / name).exists()]
        if DATABASE_NAME in there and not overwrite and not mark.exists():
            raise StoreError(
                "there is state already",
                place=str(data_directory),
                remedy="name another --data-directory, or say --overwrite: what is there is kept beside it",
            )
        stage = _staged(folder, data_directory, manifest)
        failpoints.reach("restore.staged")
        mark.touch()
        sync_directory(data_directory)
        failpoints.reach("restore.marked")
        kept = _moved_away(data_directory, there)
        failpoints.reach("restore.moved_away")
        for name in (DATASETS_FOLDER, DATABASE_NAME):
            (stage / name).rename(data_directory / name)
        sync_directory(data_directory)
        failpoints.reach("restore.moved_in")
        mark.unlink()
        stage.rmdir()
        sync_directory(data_directory)
    except OSError as error:
        raise directory_error(error, data_directory) from error
    finally:
        lock.release()
    return manifest, kept


def _staged(folder: Path, data_directory: Path, manifest: Manifest) -> Path:
    stage = data_directory / _STAGE_NAME
    shutil.rmtree(stage, ignore_errors=True)
    (stage / DATASETS_FOLDER).mkdir(parents=True)
    for name in manifest.files:
        target = stage / name
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(folder / name, target)
        sync_file(target)
        sync_directory(target.parent)
    sync_directory(stage / DATASETS_FOLDER)
    sync_directory(stage)
    return stage


def _moved_away(data_directory: Path, names: list[str]) -> Path | None:
    if not names:
        return None
    number = 1
    while (kept := data_directory / f"before-restore-{number}").exists():
        number += 1
    kept.mkdir()
    for name in names:
        (data_directory / name).rename(kept / name)
    sync_directory(kept)
    sync_directory(data_directory)
    return kept
