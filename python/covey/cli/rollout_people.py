"""Verbs of people: approve, deny, revoke, incident."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from covey.cli.connection import Session, verb
from covey.cli.rollout_arguments import (
    NameArgument,
    NeededReasonOption,
    PhaseOption,
    ReasonOption,
    RoleOption,
    given,
    rollout_app,
    show_changed,
)

if TYPE_CHECKING:
    from covey.v1.rollouts_pb2 import Rollout


@verb(rollout_app)
def approve(
    session: Session,
    name: NameArgument,
    role: RoleOption,
    phase: PhaseOption = "",
    statement: Annotated[str, typer.Option(help="Accept this undecided criterion instead of the phase.")] = "",
    reason: ReasonOption = "",
) -> None:
    """Sign a phase in a role, or accept what a criterion could not decide."""
    chosen = phase or _phase(session, name, current=bool(statement))
    for one in role:
        rollout = session.client.approve_rollout(name, chosen, one, reason=reason, statement=statement)
    show_changed(session, rollout)


@verb(rollout_app)
def deny(
    session: Session, name: NameArgument, role: RoleOption, reason: NeededReasonOption, phase: PhaseOption = ""
) -> None:
    """Refuse a phase in a role."""
    _in_every_role(session, session.client.deny_rollout, name, phase, role, reason)


@verb(rollout_app)
def revoke(
    session: Session, name: NameArgument, role: RoleOption, reason: NeededReasonOption, phase: PhaseOption = ""
) -> None:
    """Take an approval back."""
    _in_every_role(session, session.client.revoke_approval, name, phase, role, reason)


@verb(rollout_app)
def incident(
    session: Session,
    name: NameArgument,
    incident_id: Annotated[str, typer.Argument(metavar="INCIDENT", help="Its id, such as INC-7.", show_default=False)],
    description: Annotated[str, typer.Option(help="What happens; opens the incident.")] = "",
    critical: Annotated[bool, typer.Option("--critical", help="Rolls back.")] = False,
    resolve: Annotated[bool, typer.Option("--resolve", help="It is over.")] = False,
    reason: Annotated[str, typer.Option(help="With --resolve: why it is over.")] = "",
) -> None:
    """Report an incident, or resolve one. An open critical incident rolls back."""
    if resolve == bool(description):
        raise ValueError('give either --description "what happens" to report it, or --resolve')
    if resolve:
        rollout = session.client.resolve_incident(name, incident_id, reason=reason)
    else:
        rollout = session.client.report_incident(name, incident_id, description, critical=critical)
    show_changed(session, rollout)


def _in_every_role(
    session: Session, act: Callable[..., Rollout], name: str, phase: str, roles: Sequence[str], reason: str
) -> None:
    """Deny or revoke in each role, in the phase that is named or awaited."""
    given(reason, "--reason")
    chosen = phase or _phase(session, name)
    for role in roles:
        rollout = act(name, chosen, role, reason=reason)
    show_changed(session, rollout)


def _phase(session: Session, name: str, *, current: bool = False) -> str:
    from covey.report import advice

    rollout = session.client.get_rollout(name)
    return rollout.phase if current else advice.next_approval_phase(rollout)
