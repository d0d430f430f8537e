"""What the pages tell people to type: every command of every page, as a shell would take it."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PAGES = [
    PROJECT / "README.md",
    PROJECT / "CONTRIBUTING.md",
    *sorted((PROJECT / "docs").rglob("*.md")),
    *sorted((PROJECT / "examples").rglob("*.md")),
]


@dataclass(frozen=True)
class Command:
    """One command of a page.

    Attributes:
        page: its path below the project.
        text: as it stands there, continued lines with it, comments too.
    """

    page: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"

    @property
    def bare(self) -> str:
        """On one line, without its comment."""
        joined = self.text.replace("\\\n", " ")
        return joined if "\n" in joined else re.sub(r"\s+#(\s.*)?$", "", joined).strip()


def blocks(text: str, language: str = "sh") -> list[str]:
    """Fenced blocks of a language; "": of none."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [block for named, block in fenced if named == language]


def is_whole(text: str) -> bool:
    """Whether a shell would run it, or wait for more: an open quote, a loop without its end, a document's end."""
    if text.rstrip("\n").endswith("\\"):
        return False
    asked = subprocess.run(["bash", "-n", "-c", text], capture_output=True, text=True, check=False, timeout=30)
    return asked.returncode == 0 and not asked.stderr


def statements(text: str) -> list[str]:
    """The commands of a block.

    Raises:
        ValueError: the last has no end.
    """
    found, begun = [], ""
    for line in text.splitlines():
        if not begun and (not line.strip() or line.lstrip().startswith("#")):
            continue
        begun += line + "\n"
        if is_whole(begun):
            found.append(begun.rstrip("\n"))
            begun = ""
    if begun:
        raise ValueError(f"this has no end: {begun}")
    return found


def commands(page: Path) -> list[Command]:
    """Every command of a page; in blocks that show what a terminal shows, those after a prompt."""
    name, text = str(page.relative_to(PROJECT)), page.read_text(encoding="utf-8")
    typed = [one for block in blocks(text) for one in statements(block)]
    shown = [line for block in blocks(text, "") for line in re.findall(r"^\$ (.*)$", block, re.M)]
    return [Command(name, one) for one in [*typed, *shown]]
