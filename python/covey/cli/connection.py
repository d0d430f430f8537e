"""What every verb that calls a server shares: the connection's options, exit codes, errors that say what to do."""

from __future__ import annotations

import functools
import getpass
import inspect
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from covey.cli.output import CommandError, OutputFormat, OutputOption

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from covey.client import Client

CallableT = TypeVar("CallableT", bound=Callable[..., int | None])

PANEL = "Connection"


class ExitCode(IntEnum):
    """What a verb's exit status means; stable."""

    OK = 0
    FAILED = 1
    USAGE = 2
    ROLLED_BACK = 3
    HELD = 4
    UNREACHABLE = 5


_OPTIONS: dict[str, tuple[Any, Any]] = {
    "control": (
        Annotated[
            str, typer.Option(envvar="COVEY_CONTROL", help="Address of the control port.", rich_help_panel=PANEL)
        ],
        "127.0.0.1:50052",
    ),
    "actor": (
        Annotated[
            str,
            typer.Option("--as", envvar="COVEY_ACTOR", help="Who you are; default the login.", rich_help_panel=PANEL),
        ],
        "",
    ),
    "output": (OutputOption, OutputFormat.table),
    "timeout": (
        Annotated[str, typer.Option(help="How long a call may take, retries included.", rich_help_panel=PANEL)],
        "10s",
    ),
    "cacert": (
        Annotated[
            Path | None, typer.Option(help="Authorities that the server is checked against.", rich_help_panel=PANEL)
        ],
        None,
    ),
    "cert": (Annotated[Path | None, typer.Option(help="Your certificate, with --key.", rich_help_panel=PANEL)], None),
    "key": (Annotated[Path | None, typer.Option(help="Your private key.", rich_help_panel=PANEL)], None),
    "servername": (
        Annotated[str | None, typer.Option(help="Name in the server's certificate.", rich_help_panel=PANEL)],
        None,
    ),
    "token": (
        Annotated[
            str,
            typer.Option(envvar="COVEY_TOKEN", help="Who you are, proven; better in a file.", rich_help_panel=PANEL),
        ],
        "",
    ),
    "token_file": (
        Annotated[
            Path | None,
            typer.Option(envvar="COVEY_TOKEN_FILE", help="File that holds the token.", rich_help_panel=PANEL),
        ],
        None,
    ),
    "plaintext": (
        Annotated[
            bool, typer.Option("--plaintext", help="No TLS; the default on loopback only.", rich_help_panel=PANEL)
        ],
        False,
    ),
}

_CONTEXT = "typer_context"
_COMPLETION_SECONDS = 1.0
# All that leads to the same server; --token would show a secret, and --as belongs to whoever types.
_REPEATED = ("control", "cacert", "cert", "key", "servername", "token_file", "plaintext")


@dataclass(frozen=True)
class Session:
    """What a verb works with.

    Attributes:
        client: of the server; connects with its first call.
        output: form of what is printed.
        address: options that say which server and how it is known, as they were typed; no secret among them.
    """

    client: Client
    output: OutputFormat
    address: tuple[str, ...] = ()

    @property
    def is_table(self) -> bool:
        """Whether people read it."""
        return self.output is OutputFormat.table

    def command(self, text: str) -> str:
        """A command to type next, which must reach the server that this one reached."""
        is_called = text and not text.endswith("--help")
        return f"{text} {shlex.join(self.address)}" if is_called and self.address else text


def plain(message: Message) -> dict[str, Any]:
    """A message as plain values: field names of the proto, enums by name, every plain field present."""
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def verb(application: typer.Typer, name: str | None = None) -> Callable[[CallableT], CallableT]:
    """Registers a function as a command of an application, with the options of the connection added.

    The function's first parameter is the `Session`; it returns its exit code, None meaning 0.
    """

    def register(function: CallableT) -> CallableT:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        added = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for key, (annotation, default) in _OPTIONS.items()
        ]
        added.append(inspect.Parameter(_CONTEXT, inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context))

        @functools.wraps(function)
        def command(**arguments: Any) -> None:
            connection = {key: arguments.pop(key) for key in _OPTIONS}
            address = _typed_address(arguments.pop(_CONTEXT), connection)
            raise typer.Exit(_run(function, connection, address, arguments))

        own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
        command.__signature__ = inspect.Signature([*own, *added])  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in [*own, *added]}
        application.command(name or function.__name__.replace("_", "-"))(command)
        return function

    return register


@contextmanager
def answered() -> Iterator[None]:
    """Ends the command where a call in it fails, by what the server said or because none answers."""
    from covey.client import CallFailed

    try:
        yield
    except CallFailed as failure:
        code = ExitCode.UNREACHABLE if failure.is_unreachable else ExitCode.FAILED
        raise CommandError(str(failure), code) from failure


def _run(
    function: Callable[..., int | None], connection: dict[str, Any], address: tuple[str, ...], arguments: dict[str, Any]
) -> int:
    try:
        client = _client(connection, seconds(connection["timeout"], "--timeout").total_seconds())
    except ValueError as error:
        raise CommandError(str(error), ExitCode.USAGE) from error
    with client:
        try:
            with answered():
                return function(Session(client, connection["output"], address), **arguments) or ExitCode.OK
        except ValueError as error:
            raise CommandError(str(error), ExitCode.USAGE) from error


def _client(connection: dict[str, Any], timeout_seconds: float) -> Client:
    from covey.client import Client, Security

    security = Security(
        cacert=connection["cacert"],
        cert=connection["cert"],
        key=connection["key"],
        servername=connection["servername"],
        plaintext=True if connection["plaintext"] else None,
        token=connection["token"] or None,
        token_file=connection["token_file"],
    )
    return Client(
        control=connection["control"],
        actor=connection["actor"] or login_name(),
        timeout_seconds=timeout_seconds,
        security=security,
    )


def completing_client(context: typer.Context) -> Client:
    """A client of the server that the command line typed so far, or the environment, leads to; it waits a second.

    Raises:
        ValueError: options that do not go together.
    """
    given = {key: context.params.get(key) or default for key, (_, default) in _OPTIONS.items()}
    return _client(given, _COMPLETION_SECONDS)


def _typed_address(context: typer.Context, connection: dict[str, Any]) -> tuple[str, ...]:
    # What the environment says it says to the next command too.
    sources = {key: context.get_parameter_source(key) for key in _REPEATED}
    typed = [key for key, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    words: list[str] = []
    for key in typed:
        words.append(f"--{key.replace('_', '-')}")
        if connection[key] is not True:
            words.append(str(connection[key]))
    return tuple(words)


def login_name() -> str:
    """The name one is logged in by; "anonymous" where the system knows none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "anonymous"


def seconds(text: str, option: str) -> timedelta:
    """A duration such as "90" (seconds), "1.5s", "15m", "2h" or "13d".

    Raises:
        ValueError: anything else, or nothing at all.
    """
    from covey.rollout.units import parse_duration

    try:
        duration = parse_duration(f"{text}s" if text.replace(".", "", 1).isdigit() else text).ToTimedelta()
    except ValueError as error:
        raise ValueError(f"{option}: {error}") from error
    if not duration:
        raise ValueError(f"{option} is {text!r}; expected more than 0, such as 30s")
    return duration
