"""The command line: `covey COMMAND ...`. A command's module is loaded only when the command runs."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command


class _Home(NamedTuple):
    """Where a command lives ("module:app", the app a `typer.Typer`) and its line in `covey --help`."""

    path: str
    summary: str


COMMANDS = {
    "analyze": _Home("covey.cli.analyze:app", "Find the cohorts of a Parquet file or folder of events."),
    "experiment": _Home("covey.cli.experiment:app", "Plan, analyse and report experiments on learners."),
    "segments": _Home("covey.cli.segments:app", "Who gains and who is harmed: an experiment by segment."),
    "retention": _Home("covey.cli.retention:app", "Who comes back, and how long learners stay."),
    "evolve": _Home("covey.cli.evolve:app", "How learners move between cohorts, and what comes next."),
    "similar": _Home("covey.cli.similar:app", "Who is like whom: the nearest learners."),
    "groups": _Home("covey.cli.groups:app", "Study groups under constraints, judged against chance."),
    "churn": _Home("covey.cli.churn:app", "Who is about to leave: learn it, score, judge."),
    "intervene": _Home("covey.cli.intervene:app", "Help learners by a playbook, and measure whether it helps."),
    "tune": _Home("covey.cli.tune:app", "Better constants for an objective, and a rollout to prove them."),
    "federate": _Home("covey.cli.federate:app", "Cohorts over regions whose learners stay where they are."),
    "generate": _Home("covey.cli.generate:app", "Write events of made-up learners of known kinds."),
    "serve": _Home("covey.cli.serve:app", "Serve analyses and rollouts over gRPC."),
    "controller": _Home("covey.cli.controller:app", "Drive rollouts through their phases."),
    "dashboard": _Home("covey.cli.dashboard:app", "Serve pages on which people watch and steer rollouts."),
    "doctor": _Home("covey.cli.doctor:app", "What is wrong with an installation, and what to do."),
    "config": _Home("covey.cli.config:app", "Check and show what the processes are told."),
    "rollout": _Home("covey.cli.rollout:app", "Check, start, watch, explain and stop rollouts."),
    "fleet": _Home("covey.cli.fleet:app", "One plan over several regions, wave by wave."),
    "audit": _Home("covey.cli.audit:app", "Who did what and why, and whether the record holds."),
    "state": _Home("covey.cli.state:app", "Migrate, back up and restore a server's data."),
    "upgrade": _Home("covey.cli.upgrade:app", "Plan an upgrade without a failed call."),
    "router": _Home("covey.cli.router:app", "Configure what splits the traffic of a foreign service."),
    "monitoring": _Home("covey.cli.monitoring:app", "Alert rules for Prometheus, a dashboard for Grafana."),
    "deploy": _Home("covey.cli.deploy:app", "Units for systemd."),
    "gates": _Home("covey.cli.gates:app", "Prove the gates; try outcomes by A/A splits."),
    "token": _Home("covey.cli.token:app", "Say who may do what at a server."),
    "demo": _Home("covey.cli.demo:app", "A whole rollout on this machine, in some minutes."),
}
"""Every command, in the order of the help. A new one is one line here."""


class _LazyGroup(TyperGroup):
    """Lists commands from the table and loads the one that runs."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        home = COMMANDS.get(cmd_name)
        return None if home is None else TyperCommand(cmd_name, help=home.summary)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        if args and args[0] in COMMANDS:
            module, _, name = COMMANDS[args[0]].path.partition(":")
            return args[0], get_command(getattr(import_module(module), name)), args[1:]
        return super().resolve_command(ctx, args)


app = typer.Typer(cls=_LazyGroup, no_args_is_help=True, pretty_exceptions_enable=False)


def _print_version(asked: bool) -> None:
    if asked:
        from covey import __version__

        typer.echo(f"covey {__version__}")
        raise typer.Exit


@app.callback()
def _covey(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Find behavioural cohorts in learner events, serve them, and roll changes out on evidence."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; always leaves by `SystemExit`: 0 ok, 1 failed, 2 wrong usage, others as a command says."""
    from covey.cli.output import CommandError
    from covey.errors import InputError
    from covey.grpc_log import quiet

    quiet()
    try:
        try:
            get_command(app).main(args=arguments, prog_name="covey")
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # here, where a reader that went away is no traceback
    except (InputError, CommandError) as error:
        print(f"covey: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code if isinstance(error, CommandError) else 1)
    except BrokenPipeError:
        # The reader of our output went away (`| head`); the interpreter flushes once more at its end, to nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    except OSError as error:
        print(f"covey: {error.strerror or error}: {error.filename or ''}".rstrip(": "), file=sys.stderr)  # noqa: T201
        sys.exit(1)
