"""`covey router`: what stands between callers and a foreign service, configured from its plan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from covey.cli.output import CommandError, print_text

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def router() -> None:
    """Configure what splits the traffic of a foreign service."""


@app.command()
def haproxy(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The plan, YAML.", show_default=False)],
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where callers reach the service.")],
    control: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Which of the plan's routers this is (default: the first).")
    ] = "",
) -> None:
    """Print the configuration of an HAProxy that splits the traffic of a plan."""
    from covey.cli.rollout_check import Checked
    from covey.rollout.spec import with_defaults
    from covey.rollout.traffic import host_and_port
    from covey_controller.traffic.haproxy_config import haproxy_config

    checked = Checked(file)
    for line in checked.lines():
        typer.echo(line, err=True)
    if checked.spec is None:
        raise CommandError(f"{file} cannot be used; correct the errors above")
    spec = with_defaults(checked.spec)
    try:
        host_and_port(listen)
        routers = spec.traffic.haproxy.routers
        print_text(haproxy_config(spec, listen=listen, router=control or (routers[0] if routers else "")).rstrip())
    except ValueError as error:
        raise CommandError(f"{file}: {error}") from error


@app.command("xds-bootstrap")
def xds_bootstrap(
    control_plane: Annotated[str, typer.Option(metavar="HOST:PORT", help="The controller's --xds-listen.")],
    node: Annotated[str, typer.Option(help="How the client names itself to the control plane.")] = "covey-client",
) -> None:
    """Print what gRPC clients need in GRPC_XDS_BOOTSTRAP to dial xds:///TARGET."""
    import json

    from covey.rollout.traffic import host_and_port

    try:
        host_and_port(control_plane)
    except ValueError as error:
        raise CommandError(f"--control-plane: {error}") from error
    server = {
        "server_uri": control_plane,
        "channel_creds": [{"type": "insecure"}],
        "server_features": ["xds_v3"],
    }
    print_text(json.dumps({"xds_servers": [server], "node": {"id": node}}, indent=2))
