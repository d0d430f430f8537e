"""`covey controller`: hands its arguments to the process of that name."""

from __future__ import annotations

import typer

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(
    # Every option is the process's own, --help included.
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def controller(context: typer.Context) -> None:
    """Drive rollouts through their phases; the same as `covey-controller`."""
    from covey_controller.main import main

    raise typer.Exit(main(context.args))
