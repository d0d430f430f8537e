"""`covey gates`: are the gates right, and the outcomes that they judge?"""

from __future__ import annotations

import typer

from covey.cli.gates_aa import aa
from covey.cli.gates_verify import verify

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


@app.callback()
def _gates() -> None:
    """Prove the gates."""


app.command()(verify)
app.command()(aa)
