"""Verbs that move a rollout: start, pause, resume, promote, postpone, abort."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from covey.cli.connection import Session, seconds, verb
from covey.cli.rollout_arguments import (
    NameArgument,
    NeededReasonOption,
    ReasonOption,
    YesOption,
    confirm,
    given,
    rollout_app,
    show_changed,
)


@verb(rollout_app)
def start(session: Session, name: NameArgument, reason: ReasonOption = "") -> None:
    """Start a DRAFT; its first phase begins when approvals and calendar allow."""
    show_changed(session, session.client.start_rollout(name, reason=reason))


@verb(rollout_app)
def pause(session: Session, name: NameArgument, reason: ReasonOption = "") -> None:
    """Stop the phase's clock and advancing; triggers go on."""
    show_changed(session, session.client.pause_rollout(name, reason=reason))


@verb(rollout_app)
def resume(session: Session, name: NameArgument, reason: ReasonOption = "") -> None:
    """End a pause."""
    show_changed(session, session.client.resume_rollout(name, reason=reason))


@verb(rollout_app)
def promote(session: Session, name: NameArgument, reason: NeededReasonOption, yes: YesOption = False) -> None:
    """End the wait of the phase by hand; the journal keeps it as an override. Never overrides a fired trigger."""
    given(reason, "--reason")
    confirm(f"End the wait of {name}'s phase by hand, whatever is not proven yet?", yes)
    show_changed(session, session.client.promote_rollout(name, reason=reason))


@verb(rollout_app)
def postpone(
    session: Session,
    name: NameArgument,
    phase: Annotated[str, typer.Argument(help="Which phase begins later.", show_default=False)],
    not_before: Annotated[
        str, typer.Option(help="When at the earliest: 2026-01-31T09:00Z, or +2h.", show_default=False)
    ],
    reason: NeededReasonOption,
) -> None:
    """Let a phase begin no earlier than a time."""
    given(reason, "--reason")
    instant = parse_instant(not_before, datetime.now(UTC))
    show_changed(session, session.client.postpone_rollout(name, phase, instant, reason=reason))


@verb(rollout_app)
def abort(session: Session, name: NameArgument, reason: NeededReasonOption, yes: YesOption = False) -> None:
    """Take the candidate's share to 0 now. It is 0 when the command returns, whether or not a controller lives."""
    given(reason, "--reason")
    confirm(f"Abort {name}: every learner back to the baseline now?", yes)
    show_changed(session, session.client.abort_rollout(name, reason=reason))


def parse_instant(text: str, now: datetime) -> datetime:
    """An ISO 8601 time with its zone, or "+2h" from now.

    Raises:
        ValueError: anything else.
    """
    if text.startswith("+"):
        return now + seconds(text[1:], "--not-before")
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise ValueError(f"--not-before {text!r} is no time with a zone; expected 2026-01-31T09:00Z or +2h")
    return instant
