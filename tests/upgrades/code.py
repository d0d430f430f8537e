"""Code of an earlier version of the tables, to be run beside today's.

tests/golden/code-N.tar.xz is the Python of server, controller and library as it was at the last commit before version
N + 1 of the tables: real code, of which nothing was changed. It runs on today's interpreter, compiled core and
generated messages, none of which knows of tables. `make upgrades` names a whole build of that commit instead, its own
core and messages included (COVEY_OLDER_CODE, a folder as `pip install --target` makes it).
"""

from __future__ import annotations

import importlib.util
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "golden"
OLDER_CODE = os.environ.get("COVEY_OLDER_CODE") or ""

# Found before what an editable installation of today's code would find.
_SITE = """
import importlib.util, sys
sys.meta_path[:] = [finder for finder in sys.meta_path if "ScikitBuild" not in type(finder).__name__]
class Today:
    @staticmethod
    def find_spec(name, path=None, target=None):
        place = {places!r}.get(name)
        if place is None:
            return None
        folder = [place.rpartition("/")[0]] if place.endswith("__init__.py") else None
        return importlib.util.spec_from_file_location(name, place, submodule_search_locations=folder)
sys.meta_path.insert(0, Today)
"""


@dataclass(frozen=True)
class Code:
    """Where processes find what they run.

    Attributes:
        name: for people.
        environment: of the processes.
    """

    name: str
    environment: dict[str, str]


TODAY = Code("today", {})


def older_code(version: int, directory: Path) -> Code:
    """The code that knew tables up to a version.

    Args:
        version: of the tables.
        directory: new; what is unpacked goes there.
    """
    directory.mkdir(parents=True)
    if OLDER_CODE:
        (directory / "sitecustomize.py").write_text(_SITE.replace("{places!r}", "{}"))
        return Code(f"version {version}, built whole", _environment(directory, Path(OLDER_CODE)))
    with tarfile.open(GOLDEN / f"code-{version}.tar.xz") as archive:
        # Debian 12's Python has no filters yet, newer ones ask for one; the archive is our own.
        filtered: Any = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(directory, **filtered)
    places = {name: _place(name) for name in ("covey._core", "covey.v1")}
    (directory / "sitecustomize.py").write_text(_SITE.replace("{places!r}", repr(places)))
    return Code(f"version {version}", _environment(directory, directory / "python", directory / "services"))


def _place(module: str) -> str:
    found = importlib.util.find_spec(module)
    assert found is not None
    assert found.origin is not None
    return found.origin


def _environment(*folders: Path) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join(map(str, folders))}
