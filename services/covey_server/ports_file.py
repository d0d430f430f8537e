"""The file that says where a server listens: there once it is ready, gone when it stops."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from covey_server.failures import StartError


def write(path: Path, ports: Mapping[str, object]) -> None:
    """Say which ports this process serves, and its number.

    Raises:
        StartError: it cannot be written.
    """
    # Readers find the whole file or none: it is how they learn that the server is ready.
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        temporary.write_text(json.dumps({**ports, "pid": os.getpid()}) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise _not_written(path, error) from error


def forget(path: Path | None) -> None:
    """Remove the ports of a run that is over: what is there speaks of a server that is ready.

    Raises:
        StartError: it cannot be removed.
    """
    if path is not None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> StartError:
    return StartError(f"--ports-file {path}: cannot be written ({error.strerror}); choose another file")
