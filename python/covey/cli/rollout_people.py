"""Verbs of people: approve, deny, revoke, incident."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from covey.cli.connection import Session, plain, verb
from covey.cli.output import print_data, print_text
from covey.cli.rollout_arguments import (
    NameArgument,
    NeededReasonOption,
    PhaseOption,
    ReasonOption,
    RoleOption,
    YesOption,
    confirm,
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
    emergency: Annotated[bool, typer.Option("--emergency", help="Override the calendar; needs --reason.")] = False,
    reason: ReasonOption = "",
    yes: YesOption = False,
) -> None:
    """Sign a phase in a role, or accept what a criterion could not decide. Says first what is signed."""
    from covey.report import advice

    if emergency:
        given(reason, "--reason")
    rollout = session.client.get_rollout(name)
    chosen = phase or (rollout.phase if statement else advice.next_approval_phase(rollout))
    what = f"that {statement!r} cannot be answered in phase {chosen}" if statement else f"phase {chosen}"
    what = f"that phase {chosen} begins in spite of the calendar" if emergency else what
    for line in _signed_lines(rollout, what):
        typer.echo(line, err=not session.is_table)
    confirm(f"Sign as {', '.join(role)}?", yes)
    for one in role:
        rollout = session.client.approve_rollout(
            name,
            chosen,
            one,
            reason=reason,
            statement=statement,
            evidence_digest=rollout.evidence_digest,
            overrides_calendar=emergency,
        )
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
def ack(session: Session, name: NameArgument, reason: ReasonOption = "") -> None:
    """Say that you look after a hold, so that nobody else is called."""
    show_changed(session, session.client.acknowledge_rollout(name, reason=reason))


@verb(rollout_app)
def incident(
    session: Session,
    name: NameArgument,
    incident_id: Annotated[
        str, typer.Argument(metavar="INCIDENT", help="Its id, such as INC-7. Without it: lists the open ones.")
    ] = "",
    description: Annotated[str, typer.Option(help="What happens; opens the incident.")] = "",
    critical: Annotated[bool, typer.Option("--critical", help="Rolls back.")] = False,
    resolve: Annotated[bool, typer.Option("--resolve", help="It is over.")] = False,
    reason: Annotated[str, typer.Option(help="With --resolve: why it is over.")] = "",
) -> None:
    """Report an incident, resolve one, or list the open ones. An open critical incident rolls back."""
    if not incident_id and not resolve and not description:
        _show_incidents(session, session.client.get_rollout(name))
        return
    given(incident_id, "INCIDENT")
    if resolve == bool(description):
        raise ValueError('give either --description "what happens" to report it, or --resolve')
    if resolve:
        rollout = session.client.resolve_incident(name, incident_id, reason=reason)
    else:
        rollout = session.client.report_incident(name, incident_id, description, critical=critical)
    show_changed(session, rollout)


def _show_incidents(session: Session, rollout: Rollout) -> None:
    from covey.report import words

    if not session.is_table:
        print_data([plain(incident) for incident in rollout.open_incidents], session.output)
        return
    for incident in rollout.open_incidents:
        kind = "critical  " if incident.critical else ""
        since = words.instant(incident.time)
        print_text(f"{incident.incident_id}  {kind}since {since}  {words.clean(incident.description)}")
    if not rollout.open_incidents:
        print_text("no incident is open")


def _in_every_role(
    session: Session, act: Callable[..., Rollout], name: str, phase: str, roles: Sequence[str], reason: str
) -> None:
    """Deny or revoke in each role, in the phase that is named or awaited."""
    given(reason, "--reason")
    chosen = phase or _phase(session, name)
    for role in roles:
        rollout = act(name, chosen, role, reason=reason)
    show_changed(session, rollout)


def _signed_lines(rollout: Rollout, what: str) -> Iterator[str]:
    """What a signature is bound to: the plan, and how the criteria stand."""
    from covey.report import words
    from covey.v1.evidence_pb2 import Verdict

    yield f"to sign: {what} of {rollout.name}, {rollout.spec.candidate} over {rollout.spec.baseline}"
    yield f"plan: {rollout.spec_digest[:12]}, evidence: {rollout.evidence_digest[:12]}"
    criteria = [verdict for verdict in rollout.verdicts if verdict.role == Verdict.ROLE_CRITERION]
    if criteria:
        standing = ", ".join(f"{verdict.statement} {words.result(verdict)}" for verdict in criteria)
        yield f"verdicts: {words.clean(standing)}"
    else:
        yield "verdicts: none yet, no phase is in force"


def _phase(session: Session, name: str) -> str:
    from covey.report import advice

    return advice.next_approval_phase(session.client.get_rollout(name))
