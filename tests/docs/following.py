"""Following a page from its first command to its last, and who does what stands between its lines."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from .elsewhere import ELSEWHERE, UNRUN
from .installed import Installed
from .reading import PAGES, Command, commands
from .typist import Run, Typist, prepare

# What these pages do cannot be done twice, or they bring servers of their own.
ALONE = (
    "README.md",
    "docs/access.md",
    "docs/reliability.md",
    *(f"docs/runbooks/{name}.md" for name in ("rollback", "restore", "rotate-certificates", "freeze")),
)
RESTS = ("docs/runbooks/restore.md",)  # It says itself when the server stops and starts.
BRINGS_A_SERVER = ("README.md", "docs/access.md")


def listed(command: Command) -> list[Any]:
    return [one for one in (*ELSEWHERE, *UNRUN) if one.covers(command)]


EVERY = [command for page in PAGES for command in commands(page)]
TYPED: dict[str, list[Command]] = {}
for _command in EVERY:
    if not listed(_command):
        TYPED.setdefault(_command.page, []).append(_command)


def typist_of(directory: Path, installed: Installed | None, run: Run, authority: Any, patch: Any) -> Typist:
    prepare(directory, authority.file, authority.issue("server"), run)
    made = Typist(directory, run, patch, installed.places if installed else None)
    if installed:
        installed.fill(run)
    return made


def before(command: Command, installed: Installed) -> None:
    """What the page's sentences ask for before a command: a server at rest, a disk that was lost."""
    data, backup = installed.directory / "data", installed.directory / "monday"
    if re.match("covey state (migrate|restore)", command.bare):
        installed.stop()
    if command.bare.startswith("covey state restore") and "--overwrite" not in command.bare:
        data.rename(data.with_name("lost"))
    if command.bare.startswith("covey state backup"):
        backup.rename(backup.with_name("sunday"))


def follow(page: str, typist: Typist, installed: Installed | None = None) -> None:
    """Type a page; systemd's part is the site's."""
    for command in TYPED[page]:
        if installed is not None and command.bare == "systemctl stop covey-server":
            installed.stop()
        elif installed is not None and command.bare == "systemctl start covey-server":
            installed.start()
        elif installed is not None:
            before(command, installed)
            typist.type(command)
            if not installed.is_up and page not in RESTS:
                installed.start()
        else:
            typist.type(command)
