"""What a person can do with a rollout: each verb's words, what it does, and what it asks for. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from covey.report import words
from covey.v1.rollouts_pb2 import Rollout

Told = Callable[[Rollout, Mapping[str, str]], str]


class Verb(NamedTuple):
    """One verb.

    Attributes:
        name: in paths.
        label: on buttons.
        method: of RolloutService.
        tone: "plain", "good" or "danger".
        told: what happens when it is confirmed, in one or two sentences.
        needs_reason: whether the server refuses it without one.
        fields: what the form asks for beside the reason.
        subject: names of what it is about, carried from the button to the call.
    """

    name: str
    label: str
    method: str
    tone: str
    told: Told
    needs_reason: bool = True
    fields: tuple[str, ...] = ()
    subject: tuple[str, ...] = ()


def variant(name: str) -> str:
    """A variant as people say it: "native" of "variants/native"."""
    return ", ".join(part.removeprefix("variants/") for part in name.split(","))


def _share(rollout: Rollout) -> str:
    return words.share(rollout.candidate_weight_bp)


def _start(rollout: Rollout, subject: Mapping[str, str]) -> str:
    first = rollout.spec.phases[0]
    return (
        f"Hands the rollout to the controller. Once its approvals are there, phase {first.name} gives "
        f"{words.share(round(first.traffic_share * 10_000))} of learners {variant(rollout.spec.candidate)}."
    )


def _pause(rollout: Rollout, subject: Mapping[str, str]) -> str:
    return (
        f"The phase's clock stops and nothing advances. {_share(rollout)} of learners stay with the candidate; "
        "triggers go on."
    )


def _promote(rollout: Rollout, subject: Mapping[str, str]) -> str:
    return (
        f"Ends the wait of phase {rollout.phase} now, over criteria that are not proven. The journal records it as an "
        "override, under your name. It never overrides a trigger."
    )


def _abort(rollout: Rollout, subject: Mapping[str, str]) -> str:
    baseline = variant(rollout.spec.baseline)
    if not rollout.candidate_weight_bp:
        return f"Ends the rollout. Everybody gets {baseline}, as now. It cannot be taken back."
    return (
        f"Takes the {_share(rollout)} of learners that get {variant(rollout.spec.candidate)} back to {baseline} at "
        "once, and ends the rollout. It cannot be taken back."
    )


def _approve(rollout: Rollout, subject: Mapping[str, str]) -> str:
    role, phase = subject.get("role", ""), subject.get("phase", "")
    if subject.get("statement"):
        return f"Accepts, for {role}, that {subject['statement']} could not be decided in phase {phase}."
    if subject.get("overrides_calendar"):
        return f"Lets phase {phase} begin in spite of the calendar, for {role}. For emergencies only."
    return f"Signs phase {phase} for {role}, on the verdicts as you see them now. It counts while they stay as good."


def _deny(rollout: Rollout, subject: Mapping[str, str]) -> str:
    phase, role = subject.get("phase", ""), subject.get("role", "")
    return f"Refuses phase {phase} for {role}: it does not begin until {role} approves. Traffic stays as it is."


VERBS: Mapping[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb("start", "Start", "StartRollout", "good", _start, needs_reason=False),
        Verb("approve", "Approve", "ApproveRollout", "good", _approve, needs_reason=False,
             subject=("phase", "role", "statement", "overrides_calendar", "evidence_digest")),
        Verb("deny", "Deny", "DenyRollout", "danger", _deny, subject=("phase", "role")),
        Verb("revoke", "Take back", "RevokeApproval", "plain",
             lambda _, subject: f"Takes your signature for {subject.get('role', '')} under phase "
             f"{subject.get('phase', '')} back.", subject=("phase", "role")),
        Verb("acknowledge", "I look after it", "AcknowledgeRollout", "good",
             lambda rollout, _: f"Says that you look after the hold of phase {rollout.phase}; nobody else is called.",
             needs_reason=False),
        Verb("pause", "Pause", "PauseRollout", "plain", _pause, needs_reason=False),
        Verb("resume", "Resume", "ResumeRollout", "good",
             lambda rollout, _: f"The clock of phase {rollout.phase or 'one'} goes on.", needs_reason=False),
        Verb("promote", "Promote", "PromoteRollout", "plain", _promote),
        Verb("postpone", "Postpone", "PostponeRollout", "plain",
             lambda *_: "Lets a phase begin no earlier than a time. A time that is past takes a postponement back.",
             fields=("phase", "not_before")),
        Verb("report-incident", "Report an incident", "ReportIncident", "plain",
             lambda *_: "Writes an incident into the journal. A critical one holds the rollout back, or rolls it back "
             "where the plan says so.", needs_reason=False, fields=("incident_id", "description", "critical")),
        Verb("resolve-incident", "Resolve", "ResolveIncident", "good",
             lambda _, subject: f"Says that incident {subject.get('incident_id', '')} is over.", needs_reason=False,
             subject=("incident_id",)),
        Verb("abort", "Abort", "AbortRollout", "danger", _abort),
    )
}  # fmt: skip
"""Every verb, in the order in which buttons stand."""
