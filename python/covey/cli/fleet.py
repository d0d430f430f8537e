"""`covey fleet`: one plan over several regions, wave by wave."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from covey.cli.connection import ExitCode, login_name, seconds
from covey.cli.fleet_view import decision_data, print_fleet, print_turn
from covey.cli.output import CommandError, OutputFormat, OutputOption, print_data, print_text

if TYPE_CHECKING:
    from covey.client import Client
    from covey.fleet.coordinator import Coordinator, FleetLook
    from covey.v1.fleet_pb2 import FleetSpec, Region

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The fleet, YAML.", show_default=False)]
ActorOption = Annotated[str, typer.Option("--as", envvar="COVEY_ACTOR", help="Who you are; default the login.")]
TimeoutOption = Annotated[str, typer.Option(help="How long one region may take to answer.")]
IntervalOption = Annotated[str, typer.Option(help="Time between two looks.")]
ReasonOption = Annotated[str, typer.Option(help="Why; the journals keep it.", show_default=False)]
RoleOption = Annotated[list[str], typer.Option(help="In which role; may be repeated.", show_default=False)]


@app.command()
def check(file: FileArgument, output: OutputOption = OutputFormat.table) -> None:
    """Read a fleet and say what is wrong with it, and who comes when. No region is asked."""
    from covey.fleet.spec import check_fleet, fleet_digest, waves_of

    fleet = _read(file)
    findings, waves, digest = check_fleet(fleet), waves_of(fleet), fleet_digest(fleet)
    if output is not OutputFormat.table:
        rows = [{"level": str(each.level), "path": each.path, "message": each.message} for each in findings]
        data = {"name": fleet.name, "digest": digest, "waves": [list(names) for names in waves], "findings": rows}
        print_data(data, output)
        return
    for finding in findings:
        print_text(f"{file}: {finding.level}: {finding.path}: {finding.message}")
    for number, names in enumerate(waves, start=1):
        print_text(f"wave {number}: {', '.join(names)}")
    print_text(f"{fleet.name}: spec SHA-256 {digest}")


@app.command()
def create(
    file: FileArgument,
    actor: ActorOption = "",
    timeout: TimeoutOption = "5s",
    output: OutputOption = OutputFormat.table,
) -> None:
    """Record the plan as DRAFT in every region, checked by its own server; nothing starts."""
    from covey.fleet.model import CREATE

    fleet = _read(file)
    with _coordinator(fleet, actor, timeout) as coordinator:
        turn = coordinator.turn(verbs=frozenset({CREATE}))
        _print_failures(turn)
        raise typer.Exit(_show(fleet, coordinator.look(), output) if not turn.failed else ExitCode.FAILED)


@app.command()
def run(
    file: FileArgument,
    interval: IntervalOption = "10s",
    once: Annotated[bool, typer.Option("--once", help="One look and what follows from it.")] = False,
    actor: ActorOption = "",
    timeout: TimeoutOption = "5s",
    output: OutputOption = OutputFormat.table,
) -> None:
    """Drive the fleet until it has ended. It may be killed, doubled and started again: the regions' journals know."""
    fleet, pause = _read(file), seconds(interval, "--interval").total_seconds()
    with _coordinator(fleet, actor, timeout) as coordinator:
        raise typer.Exit(_follow(fleet, coordinator.turn, pause, output, once=once))


@app.command()
def status(
    file: FileArgument,
    actor: ActorOption = "",
    timeout: TimeoutOption = "5s",
    output: OutputOption = OutputFormat.table,
) -> None:
    """Where every region stands, and what the fleet waits for. Changes nothing."""
    fleet = _read(file)
    with _coordinator(fleet, actor, timeout) as coordinator:
        raise typer.Exit(_show(fleet, coordinator.look(), output))


@app.command()
def watch(
    file: FileArgument,
    interval: IntervalOption = "10s",
    actor: ActorOption = "",
    timeout: TimeoutOption = "5s",
    output: OutputOption = OutputFormat.table,
) -> None:
    """Say what changes until the fleet has ended. Changes nothing."""
    fleet, pause = _read(file), seconds(interval, "--interval").total_seconds()
    with _coordinator(fleet, actor, timeout) as coordinator:
        raise typer.Exit(_follow(fleet, coordinator.look, pause, output))


@app.command()
def abort(
    file: FileArgument,
    reason: ReasonOption,
    region: Annotated[str, typer.Option(help="Only this region; default: every one.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    actor: ActorOption = "",
    timeout: TimeoutOption = "5s",
    output: OutputOption = OutputFormat.table,
) -> None:
    """Take the candidate back, everywhere or in one region. A region out of reach is caught up by `covey fleet run`."""
    from covey.fleet.model import ABORT_REGION, Action

    fleet = _read(file)
    if not reason.strip():
        raise CommandError("--reason is empty; say why, the journals keep it", ExitCode.USAGE)
    names = [known.name for known in fleet.regions]
    if region and region not in names:
        raise CommandError(f"--region: there is no '{region}'; the regions are {', '.join(names)}", ExitCode.USAGE)
    if not yes and not typer.confirm(f"Abort {fleet.name} in {region or 'every region'}: back to the baseline now?"):
        raise typer.Exit(ExitCode.FAILED)
    with _coordinator(fleet, actor, timeout) as coordinator:
        if region:
            coordinator.look()
            if problem := coordinator.act(Action(ABORT_REGION, region, reason)):
                raise CommandError(f"{region}: {problem}", ExitCode.FAILED)
        else:
            _print_failures(coordinator.turn(abort_reason=reason))
        look = coordinator.look()
        _show(fleet, look, output)
        if away := [view.name for view in look.views if not view.reachable]:
            raise CommandError(
                f"{', '.join(away)} did not answer: keep `covey fleet run {file}` running, or repeat this",
                ExitCode.UNREACHABLE,
            )


@app.command()
def approve(
    file: FileArgument,
    wave: Annotated[int, typer.Option(min=1, help="Which wave.", show_default=False)],
    role: RoleOption,
    reason: Annotated[str, typer.Option(help="Why; the journals keep it.")] = "",
    actor: ActorOption = "",
    timeout: TimeoutOption = "5s",
    output: OutputOption = OutputFormat.table,
) -> None:
    """Sign what every region of a wave waits for, or, before its start, its first phase."""
    from covey.client import CallFailed
    from covey.fleet.spec import wave_numbers

    fleet = _read(file)
    numbers = wave_numbers(fleet)
    if wave not in numbers.values():
        raise CommandError(f"--wave {wave}: there are waves {sorted(set(numbers.values()))}", ExitCode.USAGE)
    problems: list[str] = []
    signed: list[dict[str, str]] = []
    for region in (it for it in fleet.regions if numbers[it.name] == wave):
        with _client(fleet, region, actor, timeout) as client:
            for one in role:
                try:
                    phase = _awaited_phase(client, fleet)
                    client.approve_rollout(fleet.name, phase, one, reason=reason)
                    signed.append({"region": region.name, "role": one, "phase": phase})
                except CallFailed as failure:
                    problems.append(f"{region.name}: {failure.message}")
    if output is not OutputFormat.table:
        print_data(signed, output)
    else:
        for row in signed:
            print_text("{region}: {role} signed phase {phase}".format(**row))
    if problems:
        raise CommandError("\n".join(problems), ExitCode.FAILED)


@app.command()
def report(
    file: FileArgument,
    directory: Annotated[Path, typer.Option(help="Where fleet.md and fleet.html go.")] = Path(),
    actor: ActorOption = "",
    timeout: TimeoutOption = "5s",
    output: OutputOption = OutputFormat.table,
) -> None:
    """Write the report over all regions, Markdown and one HTML file; with --output json|yaml print the data instead."""
    from covey.report.fleet import fleet_report
    from covey.report.fleet_forms import write_fleet_html, write_fleet_markdown

    fleet = _read(file)
    with _coordinator(fleet, actor, timeout) as coordinator:
        look = coordinator.look()
        made = fleet_report(fleet, look.views, coordinator.journals, look.gate, look.decision, look.time)
    if output is not OutputFormat.table:
        print_data(made.data(), output)
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in (("fleet.md", write_fleet_markdown(made)), ("fleet.html", write_fleet_html(made))):
            (directory / name).write_text(text, encoding="utf-8")
            print_text(str(directory / name))
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}; name a folder to write to with --directory") from error


def _awaited_phase(client: Client, fleet: FleetSpec) -> str:
    from covey.report.advice import next_approval_phase

    return next_approval_phase(client.get_rollout(fleet.name)) or fleet.rollout.phases[0].name


def _read(path: Path) -> FleetSpec:
    from covey.fleet.spec import load_fleet
    from covey.rollout.findings import SpecError

    try:
        return load_fleet(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise CommandError(f"{path}: {reason}; expected a fleet in YAML, see examples/fleet.yaml") from error
    except SpecError as error:
        raise CommandError(str(error), ExitCode.USAGE) from error


def _coordinator(fleet: FleetSpec, actor: str, timeout: str) -> Coordinator:
    from covey.fleet.coordinator import Coordinator

    return Coordinator(fleet, lambda region: _client(fleet, region, actor, timeout), lambda: datetime.now(UTC))


def _client(fleet: FleetSpec, region: Region, actor: str, timeout: str) -> Client:
    from covey.client import Client
    from covey.fleet.regions import security_of

    try:
        security = security_of(fleet, region, os.environ.get("COVEY_TOKEN", ""))
        limit = seconds(timeout, "--timeout").total_seconds()
    except ValueError as error:
        raise CommandError(f"region {region.name}: {error}", ExitCode.USAGE) from error
    return Client(control=region.control, actor=actor or login_name(), timeout_seconds=limit, security=security)


def _follow(
    fleet: FleetSpec, take: Callable[[], FleetLook], pause_seconds: float, output: OutputFormat, *, once: bool = False
) -> int:
    """Takes one look after the other and says what changes, until the fleet has ended; the exit code of the last."""
    from covey.stop_signals import StopSignals

    said: set[str] = set()
    with StopSignals() as stop:
        while True:
            look = take()
            if output is OutputFormat.table:
                print_turn(look, said)
            if look.decision.is_final or once or stop.wait(pause_seconds):
                break
    return _exit_code(look) if output is OutputFormat.table else _show(fleet, look, output)


def _show(fleet: FleetSpec, look: FleetLook, output: OutputFormat) -> int:
    if output is OutputFormat.table:
        print_fleet(fleet, look)
    else:
        print_data(decision_data(fleet, look), output)
    return _exit_code(look)


def _print_failures(turn: FleetLook) -> None:
    for action, problem in turn.failed.items():
        print(f"covey: {action.region}: {action.verb}: {problem}", file=sys.stderr)  # noqa: T201


def _exit_code(look: FleetLook) -> int:
    """As every verb's: rolled back, held, unreachable; a fleet that is on its way is ok."""
    from covey.fleet.model import FleetState

    state = look.decision.state
    if state in {FleetState.ROLLED_BACK, FleetState.ROLLING_BACK, FleetState.STOPPED}:
        return ExitCode.ROLLED_BACK
    if state is FleetState.HELD:
        return ExitCode.HELD
    return ExitCode.OK if any(view.reachable for view in look.views) else ExitCode.UNREACHABLE
