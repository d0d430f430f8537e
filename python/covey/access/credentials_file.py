"""Changes of the credentials file: one at a time, whole or not at all, readable by its owner only."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from covey.access.credentials import Credential, Credentials, read, text_of
from covey.errors import InputError


def change(path: Path, make: Callable[[Credentials], Sequence[Credential]]) -> None:
    """Replace the credentials of a file, which is made if absent.

    Raises:
        InputError: the file is broken, or cannot be written.
    """
    try:
        with _locked(path):
            known = read(path) if path.exists() else Credentials()
            _replace(path, text_of(make(known)))
    except OSError as error:
        raise InputError(f"cannot be written ({error.strerror})", source=str(path)) from error


def without(credentials: Credentials, id: str, path: Path) -> list[Credential]:  # noqa: A002 - as the file has it
    """The credentials but one.

    Raises:
        InputError: no credential has that id.
    """
    left = [known for known in credentials.all if known.id != id]
    if len(left) == len(credentials.all):
        raise InputError(f"no credential has the id {id!r}", source=str(path), remedy="`covey token list` shows them")
    return left


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
