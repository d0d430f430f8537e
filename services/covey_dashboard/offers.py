"""Which buttons a person sees: what is legal now, by the rollout's own rules, and theirs to press. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlencode

from covey.report import advice
from covey.rollout import commands
from covey.rollout.model import IllegalEntry
from covey.rollout.standing import Signatures
from covey.rollout.state import RolloutState
from covey.rollout.statement import parse_statement
from covey.v1 import evidence_pb2
from covey.v1.rollouts_pb2 import Rollout
from covey_dashboard.person import Person
from covey_dashboard.verbs import VERBS, Verb

_TRIED = "tried by the dashboard"
_TRIALS: dict[str, Callable[..., object]] = {
    "start": commands.start,
    "pause": commands.pause,
    "resume": commands.resume,
    "promote": commands.promote,
    "abort": commands.abort,
    "acknowledge": commands.acknowledge,
}


class Offer(NamedTuple):
    """A button.

    Attributes:
        verb: what it does.
        label: what stands on it.
        query: of its path: what it is about.
        place: "rollout", or the part of the page that it belongs to: "people", "incidents".
        is_next: whether it is what the rollout waits for.
    """

    verb: Verb
    label: str
    query: str
    place: str
    is_next: bool

    def href(self, rollout: str) -> str:
        """Path of its confirmation page."""
        return f"/rollouts/{rollout}/{self.verb.name}" + (f"?{self.query}" if self.query else "")


def offers(state: RolloutState, rollout: Rollout, person: Person, now: datetime) -> list[Offer]:
    """Every button, in the order in which they stand. Whether one may be pressed the server decides again."""
    found = [*_of_the_rollout(state, person, now), *_of_people(state, rollout, person), *_of_incidents(rollout, person)]
    order = list(VERBS)
    step = advice.what_next(rollout, now).verb
    # Which signature is awaited is known already: others of the same verb are not.
    marked = [
        offer._replace(is_next=offer.is_next or (offer.verb.name == step and offer.verb.name != "approve"))
        for offer in found
    ]
    return sorted(marked, key=lambda offer: (not offer.is_next, order.index(offer.verb.name)))


def _of_the_rollout(state: RolloutState, person: Person, now: datetime) -> Iterator[Offer]:
    for name, command in _TRIALS.items():
        verb = VERBS[name]
        if person.may(verb.method) and _is_legal(command, state, now):
            is_next = name == "acknowledge" and bool(state.held_since)
            yield Offer(verb, verb.label, "", "rollout", is_next)
    if person.may(VERBS["postpone"].method) and not state.is_terminal and state.next_phase is not None:
        query = urlencode({"phase": state.next_phase.name})
        yield Offer(VERBS["postpone"], VERBS["postpone"].label, query, "people", False)


def _is_legal(command: Callable[..., object], state: RolloutState, now: datetime) -> bool:
    try:
        command(state, now, reason=_TRIED)
    except (IllegalEntry, commands.CommandRefused):
        return False
    return True


def _of_people(state: RolloutState, rollout: Rollout, person: Person) -> Iterator[Offer]:
    if state.is_terminal or state.state == Rollout.STATE_ROLLING_BACK:
        return
    approve, deny, revoke = VERBS["approve"], VERBS["deny"], VERBS["revoke"]
    phase = advice.next_approval_phase(rollout)
    if phase and person.may(approve.method):
        roles = state.spec.phases[state.phase_index_of(phase)].approvals.roles
        signed = Signatures(state, phase, state.last_tick_at)
        for role in [role for role in roles if person.may_sign_for(role) and person.name not in signed.people(role)]:
            subject = {"phase": phase, "role": role}
            is_next = role in rollout.missing_roles
            digest = {"evidence_digest": rollout.evidence_digest} if rollout.evidence_digest else {}
            yield Offer(approve, f"Approve {phase} for {role}", urlencode(subject | digest), "people", is_next)
            if phase in state.plan.names[state.phase_index + 1 :]:
                yield Offer(deny, f"Deny {phase} for {role}", urlencode(subject), "people", False)
        for role in rollout.calendar_override_roles:
            following = state.next_phase.name if state.next_phase else phase
            if person.may_sign_for(role):
                query = urlencode({"phase": following, "role": role, "overrides_calendar": "1"})
                yield Offer(approve, f"Override the calendar for {role}", query, "people", False)
    if person.may(approve.method):
        yield from _acceptances(state, rollout, person)
    for approval in rollout.approvals:
        is_ahead = approval.phase in state.plan.names[state.phase_index + 1 :]
        if is_ahead and approval.actor == person.name and person.may(revoke.method) and not approval.statement:
            query = urlencode({"phase": approval.phase, "role": approval.role})
            yield Offer(revoke, f"Take back {approval.phase} for {approval.role}", query, "people", False)


def _acceptances(state: RolloutState, rollout: Rollout, person: Person) -> Iterator[Offer]:
    """Criteria that could not be decided and that a role may accept."""
    phase = state.phase_spec
    if phase is None or not state.in_phase:
        return
    signed = {approval.statement for approval in rollout.approvals if approval.phase == rollout.phase}
    open_statements = {
        verdict.statement
        for verdict in rollout.verdicts
        if verdict.role == evidence_pb2.Verdict.ROLE_CRITERION and verdict.result != evidence_pb2.Verdict.RESULT_PASS
    }
    for criterion in phase.criteria:
        statement = parse_statement(criterion.statement).text
        is_open = statement in open_statements and statement not in signed
        if criterion.accept_by and is_open and person.may_sign_for(criterion.accept_by):
            query = urlencode({"phase": phase.name, "role": criterion.accept_by, "statement": statement})
            is_next = state.state == Rollout.STATE_HOLDING
            label = f"Accept {statement} for {criterion.accept_by}"
            yield Offer(VERBS["approve"], label, query, "people", is_next)


def _of_incidents(rollout: Rollout, person: Person) -> Iterator[Offer]:
    resolve, report = VERBS["resolve-incident"], VERBS["report-incident"]
    if rollout.state in advice.TERMINAL:
        return
    if person.may(resolve.method):
        for incident in rollout.open_incidents:
            query = urlencode({"incident_id": incident.incident_id})
            yield Offer(resolve, f"Resolve {incident.incident_id}", query, "incidents", incident.critical)
    if person.may(report.method):
        yield Offer(report, report.label, "", "incidents", False)
