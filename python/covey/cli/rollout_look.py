"""Verbs that look: status, list, explain."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from covey.cli.connection import ExitCode, Session, plain, verb
from covey.cli.output import print_data, print_table, print_text
from covey.cli.rollout_arguments import NameArgument, rollout_app

if TYPE_CHECKING:
    from covey.report.advice import Advice
    from covey.v1.rollouts_pb2 import Rollout

ExitCodeOption = Annotated[
    bool,
    typer.Option("--exit-code", help="Exit with the state: 3 rolled back or aborted, 4 HOLDING or waiting, else 0."),
]


@verb(rollout_app)
def status(session: Session, name: NameArgument, exit_code: ExitCodeOption = False) -> int:
    """Where a rollout stands, why, and what to do next, on one screen."""
    rollout = session.client.get_rollout(name)
    if session.is_table:
        from covey.cli.console import console
        from covey.cli.rollout_screen import screen

        console().print(screen(rollout, datetime.now(UTC), session.command))
    else:
        print_data(plain(rollout), session.output)
    return state_exit_code(rollout) if exit_code else ExitCode.OK


@verb(rollout_app, "list")
def list_(
    session: Session,
    active: Annotated[bool, typer.Option("--active", help="Only those that have not ended.")] = False,
) -> None:
    """Every rollout of the server."""
    from covey.report import advice, words

    rollouts = list(session.client.list_rollouts(active_only=active))
    if not session.is_table:
        print_data([plain(rollout) for rollout in rollouts], session.output)
        return
    if not rollouts:
        print_text("no rollouts; make one with `covey rollout create FILE`")
        return
    rows = [
        (
            advice.short_name(rollout),
            words.state(rollout.state) + (" (paused)" if rollout.paused else ""),
            rollout.phase or "-",
            words.share(rollout.candidate_weight_bp),
            rollout.spec.candidate.removeprefix("variants/"),
            words.instant(rollout.create_time),
        )
        for rollout in rollouts
    ]
    print_table(("rollout", "state", "phase", "share", "candidate", "created"), rows, left=frozenset({0, 1, 2, 4, 5}))


@verb(rollout_app)
def explain(session: Session, name: NameArgument, exit_code: ExitCodeOption = False) -> int:
    """Why it is where it is: one sentence for the state and one for every verdict."""
    from covey.report import advice, words
    from covey.rollout.explain import explain as sentences_of

    rollout = session.client.get_rollout(name)
    sentences = sentences_of(rollout)
    advised = advice.what_next(rollout, datetime.now(UTC))
    step = advised._replace(command=session.command(advised.command))
    if session.is_table:
        _print_sentences(sentences, step)
    else:
        document = {
            "name": rollout.name,
            "state": words.state(rollout.state).replace(" ", "_"),
            "sentences": sentences,
            "next": {"sentence": step.sentence, "command": step.command},
        }
        print_data(document, session.output)
    return state_exit_code(rollout) if exit_code else ExitCode.OK


def _print_sentences(sentences: list[str], step: Advice) -> None:
    from rich.table import Table

    from covey.cli.console import console, text

    terminal = console()
    terminal.print(text(sentences[0]))
    grid = Table.grid(padding=(0, 1))
    for sentence in sentences[1:]:
        grid.add_row("-", text(sentence))
    terminal.print(grid)
    terminal.print(text(f"next: {step.sentence}"))
    if step.command:
        print_text(f"  {step.command}")


def state_exit_code(rollout: Rollout) -> ExitCode:
    """The exit code of a state: rolled back, holding or waiting, or neither."""
    state = type(rollout)
    if rollout.state in {state.STATE_ROLLING_BACK, state.STATE_ROLLED_BACK, state.STATE_ABORTED}:
        return ExitCode.ROLLED_BACK
    if rollout.paused or rollout.state in {state.STATE_HOLDING, state.STATE_AWAITING_APPROVAL}:
        return ExitCode.HELD
    return ExitCode.OK
