"""An option as data, and what its texts mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit


class ConfigurationError(ValueError):
    """What a process was told cannot work; the message says where it stands and what was expected."""


@dataclass(frozen=True, slots=True)
class Option:
    """One thing that a process can be told.

    Attributes:
        name: of the flag, without dashes before it; with underscores, the key of the file.
        help: what it is, for `--help` and the page.
        default: its text as one would write it; "": none, or what `help` says.
        metavar: what stands for its value.
        parse: the value of a text; raises ValueError that says what is expected.
        choices: the only texts there may be; empty: any.
        is_switch: whether the flag takes no value.
        is_repeated: whether there may be several; an array in the file, separated by blanks in the environment.
        is_required: whether a process cannot do without.
        variable: of the environment; "": made of section and name.
        is_secret: whether it comes from the environment only and is never shown.
        shown: how a value is shown to people, where its text would tell too much.
    """

    name: str
    help: str
    default: str = ""
    metavar: str = ""
    parse: Callable[[str], Any] = str
    choices: tuple[str, ...] = ()
    is_switch: bool = False
    is_repeated: bool = False
    is_required: bool = False
    variable: str = ""
    is_secret: bool = False
    shown: Callable[[str], str] = str

    @property
    def key(self) -> str:
        """Its name in a file."""
        return self.name.replace("-", "_")

    def value(self, text: str) -> Any:
        """What a text means.

        Raises:
            ValueError: nothing; the message says what was expected.
        """
        if self.choices and text not in self.choices:
            raise ValueError(f"invalid choice: {text!r} (choose from {', '.join(self.choices)})")
        return self.parse(text)


@dataclass(frozen=True, slots=True)
class Group:
    """Options that belong together.

    Attributes:
        title: of their part of the page.
        options: in the order of `--help`.
    """

    title: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """What one process can be told.

    Attributes:
        name: of its table in the file.
        program: its command.
        about: one line.
        groups: its options.
    """

    name: str
    program: str
    about: str
    groups: tuple[Group, ...]

    @property
    def options(self) -> tuple[Option, ...]:
        """All of them."""
        return tuple(option for group in self.groups for option in group.options)

    def variable_of(self, option: Option) -> str:
        """The variable of the environment that says it."""
        return option.variable or f"COVEY_{self.name}_{option.key}".upper()


def whole(low: int, high: int) -> Callable[[str], int]:
    """Reads whole numbers within these ends."""

    def number(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise ValueError(f"{text!r} is not a whole number from {low} to {high}")
        return int(text)

    return number


def seconds(text: str) -> float:
    """Reads a number of seconds, above 0 and at most an hour."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 < number <= 3600:
        raise ValueError(f"{text!r} is not a number of seconds above 0 and at most 3600")
    return number


def switch(text: str) -> bool:
    """Reads yes or no."""
    word = text.strip().lower()
    if word in {"true", "yes", "on", "1"}:
        return True
    if word in {"false", "no", "off", "0", ""}:
        return False
    raise ValueError(f"{text!r} is neither true nor false")


def without_password(text: str) -> str:
    """A URL as people may see it: its password is not."""
    parts = urlsplit(text)
    if parts.password is None:
        return text
    before, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{before.partition(':')[0]}:***@{host}"))


def host_only(text: str) -> str:
    """A URL as people may see it where its path or its query is the secret."""
    parts = urlsplit(text)
    rest = "/..." if parts.path.strip("/") or parts.query else parts.path
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{rest}"
