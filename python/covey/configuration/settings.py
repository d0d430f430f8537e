"""What holds, and where it comes from: flag before variable before file before default."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from covey.configuration.file import ConfigurationFile, read_file
from covey.configuration.options import ConfigurationError, Option, Section, switch

FILE_VARIABLE = "COVEY_CONFIG"
DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Setting:
    """One option as it holds.

    Attributes:
        option: which.
        value: parsed; a tuple where the option is repeated; None where nothing says it.
        texts: as they were written.
        source: a flag, a variable, a file with its line, or "default".
    """

    option: Option
    value: Any
    texts: tuple[str, ...]
    source: str

    @property
    def shown(self) -> str:
        """For people; no secret is in it."""
        if self.option.is_secret:
            return "(set)" if self.texts else ""
        if self.option.is_switch:
            return str(self.value).lower()
        return " ".join(self.option.shown(text) for text in self.texts)


class Settings:
    """Everything that a process was told, by key.

    Args:
        section: of the process.
        settings: one for each of its options.
        file: that was read, if any.
    """

    def __init__(self, section: Section, settings: Mapping[str, Setting], file: ConfigurationFile | None) -> None:
        self.section = section
        self.all = dict(settings)
        self.file = file

    def __getitem__(self, key: str) -> Any:
        """The value of an option."""
        return self.all[key].value


def parser_of(section: Section) -> argparse.ArgumentParser:
    """The flags of a process; what is not given is not in the namespace."""
    parser = argparse.ArgumentParser(
        section.program,
        usage="%(prog)s [--config FILE] [OPTIONS]",
        description=section.about,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help=f"TOML, its table [{section.name}] ({FILE_VARIABLE})"
    )
    for group in section.groups:
        flags = parser.add_argument_group(group.title)
        for option in group.options:
            if not option.is_secret:
                _add(flags, option)
    return parser


def _add(flags: argparse._ArgumentGroup, option: Option) -> None:
    default = f" ({option.default})" if option.default else ""
    help_text = (option.help + default).replace("%", "%%")
    if option.is_switch:
        flags.add_argument(f"--{option.name}", action="store_const", const=["true"], help=help_text)
        return

    def checked(text: str) -> str:
        try:
            option.value(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
        return text

    flags.add_argument(
        f"--{option.name}", action="append", type=checked, metavar=option.metavar or _choice(option), help=help_text
    )


def _choice(option: Option) -> str:
    return f"{{{','.join(option.choices)}}}" if option.choices else option.name.upper().replace("-", "_")


def read_settings(
    section: Section, arguments: Sequence[str] | None, environment: Mapping[str, str], *, complete: bool = True
) -> Settings:
    """What a process was told.

    Args:
        section: of the process.
        arguments: of its command line; None: those of this process.
        environment: its variables.
        complete: whether what a process cannot do without must be there.

    Raises:
        ConfigurationError: a variable or the file says what cannot be.
        SystemExit: a flag does, as argparse has it.
    """
    given = vars(parser_of(section).parse_args(arguments))
    named = given.pop("config", None) or environment.get(FILE_VARIABLE)
    file = None if not named else read_file(Path(named))
    in_file = {} if file is None else file.texts(section)
    found = {}
    for option in section.options:
        found[option.key] = _setting(section, option, given, environment, file, in_file)
    missing = [one for one in section.options if one.is_required and found[one.key].value is None]
    for option in missing if complete else ():
        raise ConfigurationError(
            f"--{option.name} is missing; give the flag, {section.variable_of(option)}, or {option.key} under"
            f" [{section.name}] in a --config file"
        )
    return Settings(section, found, file)


def _setting(
    section: Section,
    option: Option,
    flags: Mapping[str, list[str]],
    environment: Mapping[str, str],
    file: ConfigurationFile | None,
    in_file: Mapping[str, list[str]],
) -> Setting:
    variable = section.variable_of(option)
    if option.key in flags:
        texts, source = flags[option.key], f"flag --{option.name}"
        # As argparse has it: of a flag that is given twice the last one holds.
        texts = texts if option.is_repeated else texts[-1:]
    elif environment.get(variable):
        said = environment[variable]
        texts, source = said.split() if option.is_repeated else [said], variable
    elif file is not None and option.key in in_file:
        texts, source = in_file[option.key], file.place(option.key, section)
    else:
        texts, source = [option.default] if option.default else [], DEFAULT
    return Setting(option, _value(option, texts, source), tuple(texts), source)


def _value(option: Option, texts: Sequence[str], source: str) -> Any:
    if option.is_switch and not texts:
        return False
    try:
        values = tuple(switch(text) if option.is_switch else option.value(text) for text in texts)
    except ValueError as error:
        raise ConfigurationError(f"{source}: {option.key}: {error}") from error
    if option.is_repeated:
        return values
    return values[0] if values else None


def unknown_variables(sections: Sequence[Section], environment: Mapping[str, str]) -> list[str]:
    """Variables that look like a section's and are none of its."""
    prefixes = tuple(f"COVEY_{section.name}_".upper() for section in sections)
    known = {section.variable_of(option) for section in sections for option in section.options}
    return sorted(name for name in environment if name.startswith(prefixes) and name not in known)
