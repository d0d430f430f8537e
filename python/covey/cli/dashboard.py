"""`covey dashboard`: hands its arguments to the process of that name."""

from __future__ import annotations

import typer

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(
    # Every option is the process's own, --help included.
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def dashboard(context: typer.Context) -> None:
    """Serve pages on which people watch and steer rollouts; the same as `covey-dashboard`."""
    from covey_dashboard.main import main

    raise typer.Exit(main(context.args))
