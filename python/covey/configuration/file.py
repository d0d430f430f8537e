"""The file: TOML with one table per process."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from covey.configuration.options import ConfigurationError, Option, Section

TABLES = ("server", "controller", "dashboard")
"""Of one file for all processes; each process reads its own."""


@dataclass(frozen=True, slots=True)
class ConfigurationFile:
    """A file that was read.

    Attributes:
        path: as it was named.
        text: of it, for line numbers.
        tables: what it says.
    """

    path: Path
    text: str
    tables: Mapping[str, Any]

    def texts(self, section: Section) -> dict[str, list[str]]:
        """What the file says to a process: texts by key, as a command line would have them.

        Raises:
            ConfigurationError: a key that there is not, or a value of another kind.
        """
        table = self.tables.get(section.name, {})
        known = {option.key: option for option in section.options if not option.is_secret}
        found = {}
        for key, value in table.items():
            if key not in known:
                secrets = {option.key: section.variable_of(option) for option in section.options if option.is_secret}
                if key in secrets:
                    raise self._error(f"[{section.name}] {key} is a secret: say it by {secrets[key]}", key, section)
                raise self._error(f"[{section.name}] has no key {key!r}{meant(key, known)}", key, section)
            found[key] = self._texts_of(value, known[key], section)
        return found

    def place(self, key: str, section: Section | None = None) -> str:
        """File and line of a key, for people."""
        number = _line_of(self.text, key, section.name if section else "")
        return f"{self.path}:{number}" if number else str(self.path)

    def _error(self, message: str, key: str, section: Section | None = None) -> ConfigurationError:
        return ConfigurationError(f"{self.place(key, section)}: {message}")

    def _texts_of(self, value: Any, option: Option, section: Section) -> list[str]:
        values = value if option.is_repeated and isinstance(value, list) else [value]
        if option.is_repeated and not isinstance(value, list):
            raise self._error(f"{option.key} is an array, such as [{value!r}]".replace("'", '"'), option.key, section)
        if option.is_switch and not isinstance(value, bool):
            raise self._error(f"{option.key} is true or false, without quotes", option.key, section)
        for one in values:
            if isinstance(one, (dict, list)) or (isinstance(one, bool) and not option.is_switch):
                raise self._error(f"{option.key} is {_kind(one)}; expected a text or a number", option.key, section)
        return [str(one).lower() if isinstance(one, bool) else str(one) for one in values]


def read_file(path: Path) -> ConfigurationFile:
    """Read a file.

    Raises:
        ConfigurationError: it cannot be read, is no TOML, or has a table that there is not.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise ConfigurationError(f"--config {path}: {reason}") from error
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: this is no TOML: {error}") from error
    file = ConfigurationFile(path, text, tables)
    for name, table in tables.items():
        if name not in TABLES and not isinstance(table, dict):
            raise ConfigurationError(
                f"{file.place(name)}: {name!r} stands under no table; write [server] or another above it"
            )
        if name not in TABLES:
            hint = meant(name, TABLES) or f"; there are {', '.join(TABLES)}"
            raise ConfigurationError(f"{file.place(name)}: there is no table [{name}]{hint}")
        if not isinstance(table, dict):
            raise ConfigurationError(f"{file.place(name)}: {name} is a table: write [{name}] and its keys below")
    return file


def meant(word: str, known: Collection[str]) -> str:
    """What somebody may have meant, as the end of a sentence."""
    near = difflib.get_close_matches(word.lower().replace("-", "_"), list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "an array" if isinstance(value, list) else "a table"


def _line_of(text: str, key: str, table: str) -> int:
    """Where a key stands; the parser does not say. 0: not found, as in an inline table."""
    inside = ""
    for number, line in enumerate(text.splitlines(), start=1):
        heading = re.fullmatch(r"\s*\[\s*([\w.-]+)\s*\]\s*(?:#.*)?", line)
        if heading:
            inside = heading[1]
            if not table and inside == key:
                return number
        elif inside == table and re.match(rf"""\s*["']?{re.escape(key)}["']?\s*=""", line):
            return number
    return 0
