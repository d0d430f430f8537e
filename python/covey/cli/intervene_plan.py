"""`covey intervene plan`: actions of a playbook, written down in a file or on a server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from covey.cli.addressed import clients
from covey.cli.bundles import bundled
from covey.cli.connection import PANEL, answered
from covey.cli.intervene_arguments import OptionalOutbox
from covey.cli.output import CommandError, OutputFormat, OutputOption

if TYPE_CHECKING:
    from covey.client import Client
    from covey.interventions import Candidates, Playbook

_COUNTS = (
    "chosen_count",
    "new_count",
    "held_out_count",
    "limited_count",
    "cooling_count",
    "quiet_count",
    "action_count",
)


@bundled("client_of", clients)
def plan(
    playbook: Annotated[Path, typer.Argument(help="YAML: who, what, limits, holdout.", show_default=False)],
    scores: Annotated[Path, typer.Argument(help="Parquet that `covey churn score --save` wrote.", show_default=False)],
    client_of: Callable[[str, str], Client],
    outbox: OptionalOutbox = None,
    server: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Data port of a server that keeps them, in place of --outbox."),
    ] = None,
    quiet_days: Annotated[
        int, typer.Option(min=0, max=3650, help="Days after another playbook's action for a learner; 0: none.")
    ] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be planned, write nothing.")] = False,
    timeout: Annotated[str, typer.Option(help="How long a call may take.", rich_help_panel=PANEL)] = "60s",
    output: OutputOption = OutputFormat.table,
) -> None:
    """Choose learners by a playbook, hold some out, and write the actions down once."""
    from covey.about_learners import read_table
    from covey.cli.output import print_data, print_text
    from covey.interventions import Candidates, read_playbook

    if (outbox is None) == (server is None):
        raise CommandError("expected one of --outbox FILE and --server HOST:PORT: where the actions are written down")
    book = read_playbook(playbook)
    if not scores.is_file():
        raise CommandError(f"{scores}: no such file")
    candidates = Candidates.of_table(read_table(scores), str(scores))
    data: dict[str, Any] = {"playbook": book.name}
    if server is not None:
        data |= _on_server(client_of(server, timeout), book, candidates, quiet_days, dry_run)
    else:
        assert outbox is not None
        data |= _in_file(outbox, book, candidates, quiet_days, dry_run)
    data |= {"is_dry_run": dry_run}
    if output is not OutputFormat.table:
        print_data(data, output)
        return
    waiting = f"; {data['waiting_count']:,} wait in {outbox}" if outbox is not None else ""
    chosen, new, held_out, limited, cooling, quiet, actions = (f"{data[name]:,}" for name in _COUNTS)
    print_text(
        f"{book.name}: {chosen} of {len(candidates.learner_ids):,} learners chosen, {new} for the first time.\n"
        f"{held_out} are held out, {cooling} had an action too short a time ago,\n"
        f"{limited} had as many as they may, {quiet} one of another playbook just now.\n"
        f"{actions} actions {'would be' if dry_run else 'were'} planned{waiting}."
    )


def _in_file(outbox: Path, book: Playbook, candidates: Candidates, quiet_days: int, dry_run: bool) -> dict[str, int]:
    from covey.interventions import Outbox

    # Saying what would be planned leaves no file behind.
    box = Outbox(Path(":memory:") if dry_run and not outbox.exists() else outbox)
    try:
        found = box.plan(book, candidates, quiet_days=quiet_days, dry_run=dry_run)
        waiting = box.count("waiting")
    finally:
        box.close()
    more = {"new_count": len(found.enrolments), "action_count": len(found.actions)}
    counts = {name: more[name] if name in more else getattr(found, name) for name in _COUNTS}
    return counts | {"waiting_count": waiting}


def _on_server(
    client: Client, book: Playbook, candidates: Candidates, quiet_days: int, dry_run: bool
) -> dict[str, int]:
    from covey.client.planned import plan_scores

    with client, answered():
        found = plan_scores(client, book, candidates, quiet_days, dry_run=dry_run)
    return {name: getattr(found, name) for name in _COUNTS}
