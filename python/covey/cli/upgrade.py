"""`covey upgrade plan`: looks at a running installation and says how it becomes the covey that asks, or why not now."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from covey.cli.connection import ExitCode, Session, verb
from covey.cli.output import CommandError, print_data, print_text

if TYPE_CHECKING:
    from covey.client import Client
    from covey.upgrade.plan import Plan
    from covey.upgrade.seen import ReplicaSeen, RolloutSeen, StepSeen, StoreSeen

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


@app.callback()
def _upgrade() -> None:
    """Bring an installation to a newer covey without a failed call."""


@verb(app)
def plan(
    session: Session,
    replica: Annotated[
        list[str],
        typer.Option("--replica", metavar="data=HOST:PORT,metrics=URL", help="A server, as the controller has it."),
    ],
    data_directory: Annotated[Path | None, typer.Option("--data-directory", help="Of the one server.")] = None,
    store_url: Annotated[
        str | None, typer.Option("--store-url", metavar="URL", help="Of servers that share a PostgreSQL.")
    ] = None,
    restart_server: Annotated[
        str, typer.Option(help="Starts a server anew with the code that is installed; {replica} is its name.")
    ] = "systemctl restart covey-server",
    restart_controller: Annotated[str, typer.Option(help="The same of the controller.")] = (
        "systemctl restart covey-controller"
    ),
) -> int:
    """Print the steps of an upgrade to this covey in order, each with its command, its check and its way back.

    Ends with status 4 and the reasons where an upgrade would not be safe now.
    """
    from covey import __version__
    from covey.upgrade.plan import plan_of
    from covey.upgrade.seen import Seen
    from covey_controller.config import parse_replica
    from covey_controller.failures import ConfigError
    from covey_server.store.migrations import NEWEST_VERSION

    if (data_directory is None) == (store_url is None):
        raise CommandError("name a store: --data-directory of one server, or --store-url of several", ExitCode.USAGE)
    try:
        parsed = [parse_replica(text) for text in replica]
    except ConfigError as error:
        raise CommandError(str(error), ExitCode.USAGE) from error
    rollouts, problem = _rollouts(session.client)
    seen = Seen(
        version=__version__,
        tables=NEWEST_VERSION,
        steps=_steps(),
        store=_shared(store_url) if store_url is not None else _own(data_directory or Path()),
        replicas=tuple(_replica(session.client, one.data_address, one.metrics_url) for one in parsed),
        rollouts=rollouts,
        rollouts_problem=problem,
    )
    found = plan_of(seen, restart_server=restart_server, restart_controller=restart_controller)
    if session.is_table:
        _print(found)
    else:
        print_data(asdict(found), session.output)
    return ExitCode.HELD if found.refusals else ExitCode.OK


def _steps() -> tuple[StepSeen, ...]:
    from covey.upgrade.seen import StepSeen
    from covey_server.store.steps import STEPS

    return tuple(StepSeen(step.version, step.summary, step.expand is not None) for step in STEPS)


def _shared(url: str) -> StoreSeen:
    from covey.upgrade.seen import StoreSeen
    from covey_server.store import StoreError, shared_store

    try:
        with shared_store(url) as store:
            option = f"--store-url {store.place}"
            servers = tuple(server.tables for server in store.servers())
            return StoreSeen(option, store.place, True, store.version() or 0, servers)
    except StoreError as error:
        return StoreSeen("--store-url URL", error.place, True, problem=error.problem)


def _own(directory: Path) -> StoreSeen:
    from covey.upgrade.seen import StoreSeen
    from covey_server.store import StoreError
    from covey_server.store.migrations import version_of
    from covey_server.store.sqlite import reading_at_rest

    option, place = f"--data-directory {directory}", str(directory)
    try:
        with reading_at_rest(directory) as connection:
            return StoreSeen(option, place, False, version_of(connection) or 0)
    except StoreError as error:
        return StoreSeen(option, place, False, problem=error.problem)


def _replica(client: Client, data: str, metrics: str) -> ReplicaSeen:
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    from covey.client import CallFailed
    from covey.client import Client as Caller
    from covey.upgrade.seen import ReplicaSeen

    with Caller(data=data, timeout_seconds=client.timeout_seconds, security=client.security) as caller:
        try:
            info = caller.get_server_info()
            check = caller.stub(health_pb2_grpc.HealthStub, data).Check  # type: ignore[attr-defined] # generated
            health = caller.call(check, health_pb2.HealthCheckRequest(), data)
        except CallFailed as failure:
            return ReplicaSeen(data, metrics, problem=f"{failure.code.name}: {failure.message}")
    return ReplicaSeen(
        data,
        metrics,
        info.replica,
        info.version,
        info.newest_tables_version,
        info.stable_variant,
        health.status == health_pb2.HealthCheckResponse.SERVING,
        info.faults_enabled,
    )


def _rollouts(client: Client) -> tuple[tuple[RolloutSeen, ...], str]:
    from covey.client import CallFailed
    from covey.upgrade.seen import RolloutSeen
    from covey.v1.rollouts_pb2 import Rollout

    try:
        found = list(client.list_rollouts(active_only=True))
    except CallFailed as failure:
        return (), f"{failure.code.name}: {failure.message}"
    going = [one for one in found if one.state != Rollout.STATE_DRAFT]
    return tuple(RolloutSeen(one.name, Rollout.State.Name(one.state).removeprefix("STATE_")) for one in going), ""


def _print(found: Plan) -> None:
    print_text(found.summary)
    for number, step in enumerate(found.steps, 1):
        print_text(f"\n{number}. {step.title}")
        print_text(f"   do     {step.command}")
        print_text(f"   check  {step.checks}")
        print_text(f"   back   {step.back}")
    if found.notes:
        print_text("")
    for note in found.notes:
        print_text(f"note: {note}")
    for refusal in found.refusals:
        print_text(f"refused: {refusal.reason}\n         {refusal.remedy}")
