"""Arguments and options that several verbs of `covey rollout` take, and what they print of a rollout."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from covey.cli.connection import ExitCode, Session, plain
from covey.cli.output import CommandError, print_data, print_text

if TYPE_CHECKING:
    from covey.rollout.rehearsal import Operator
    from covey.v1.rollouts_pb2 import Rollout

rollout_app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def complete_rollouts(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Names that begin so, with their states, for a shell that completes; none where no server answers in a second."""
    from covey.cli.connection import completing_client
    from covey.client import CallFailed
    from covey.report import advice, words

    try:
        with completing_client(context) as client:
            known = [(advice.short_name(rollout), words.state(rollout.state)) for rollout in client.list_rollouts()]
    except (CallFailed, CommandError, ValueError):
        return []
    return [(name, state) for name, state in known if name.startswith(incomplete)]


NameArgument = Annotated[
    str,
    typer.Argument(metavar="ROLLOUT", help="rollouts/x, or x.", show_default=False, autocompletion=complete_rollouts),
]
ReasonOption = Annotated[str, typer.Option(help="Why; the journal keeps it.")]
NeededReasonOption = Annotated[str, typer.Option(help="Why; the journal keeps it.", show_default=False)]
PhaseOption = Annotated[str, typer.Option(help="Default: the phase that waits for it, or the next that asks.")]
RoleOption = Annotated[list[str], typer.Option(help="In which role; may be repeated.", show_default=False)]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def show_changed(session: Session, rollout: Rollout) -> None:
    """What a mutation answers: where the rollout stands now, and the next step."""
    from covey.report import advice, words

    if not session.is_table:
        print_data(plain(rollout), session.output)
        return
    phase = f" (phase {rollout.phase})" if rollout.phase else ""
    print_text(
        f"{advice.short_name(rollout)}: {words.state(rollout.state)}{phase}, "
        f"{words.share(rollout.candidate_weight_bp)} of learners to the candidate"
    )
    if rollout.explanation:
        print_text(words.clean(rollout.explanation))
    step = advice.what_next(rollout, datetime.now(UTC))
    if step.command:
        print_text(f"next: {step.sentence}\n  {session.command(step.command)}")


def confirm(question: str, yes: bool) -> None:
    """Asks on a terminal, unless told not to; scripts are not asked.

    Raises:
        CommandError: the answer was no.
    """
    if yes or not sys.stdin.isatty():
        return
    if not typer.confirm(question):
        raise CommandError("nothing was done", ExitCode.FAILED)


def given(text: str, option: str) -> str:
    """A text that must not be empty.

    Raises:
        ValueError: it is.
    """
    if not text.strip():
        raise ValueError(f'{option} is empty; say why in a few words, such as {option} "checkout is slow"')
    return text


def operator_of(text: str) -> Operator:
    """What people do in a rehearsal, by its word.

    Raises:
        ValueError: there is none of this name.
    """
    from covey.rollout.rehearsal import Operator

    try:
        return Operator(text)
    except ValueError:
        raise ValueError(f"--operator {text!r} is none of {', '.join(each.value for each in Operator)}") from None


def share_of(option: str, text: str) -> float:
    """A share from 0 to below 1.

    Raises:
        ValueError: it is none; the option is named.
    """
    from covey.rollout.units import parse_share

    try:
        share = parse_share(text)
    except ValueError as problem:
        raise ValueError(f"{option}: {problem}") from problem
    if not 0 <= share < 1:
        raise ValueError(f"{option} {text!r} lies outside 0 to 100 %")
    return share
