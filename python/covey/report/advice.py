"""What an operator does next: the sentence and the command to type. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from covey.report import words
from covey.rollout.statement import parse_statement
from covey.v1 import evidence_pb2, rollout_spec_pb2
from covey.v1.rollouts_pb2 import Rollout

# Without a look for this many tick intervals the controller is taken for dead.
SILENT_TICKS = 3
# Without a first look for this long after the start, none is taken to drive the target.
_FIRST_LOOK = timedelta(minutes=1)
_DEFAULT_TICK = timedelta(seconds=30)
_DEFAULT_SOAK_TICK = timedelta(minutes=5)

TERMINAL = frozenset({Rollout.STATE_SUCCEEDED, Rollout.STATE_ROLLED_BACK, Rollout.STATE_ABORTED})
DRIVEN = frozenset(
    {
        Rollout.STATE_SCHEDULED,
        Rollout.STATE_AWAITING_APPROVAL,
        Rollout.STATE_RUNNING,
        Rollout.STATE_HOLDING,
        Rollout.STATE_SOAKING,
        Rollout.STATE_ROLLING_BACK,
    }
)


class Advice(NamedTuple):
    """One sentence, the command that follows from it (empty where there is nothing to do), and the verb of the API.

    The verb is empty where none of the verbs of RolloutService does it: "start", "resume", "approve", "abort" or
    "resolve-incident" otherwise.
    """

    sentence: str
    command: str = ""
    verb: str = ""


def short_name(rollout: Rollout) -> str:
    """The name as one types it."""
    return rollout.name.removeprefix("rollouts/")


def silent_for(rollout: Rollout, now: datetime) -> timedelta | None:
    """How long no controller has looked, where that is too long; None while all is well or nothing is driven."""
    if rollout.state not in DRIVEN:
        return None
    if not rollout.HasField("last_tick_time"):
        since_start = now - rollout.start_time.ToDatetime(UTC)
        return since_start if rollout.HasField("start_time") and since_start > _FIRST_LOOK else None
    spec = rollout.spec
    soaking = rollout.state == Rollout.STATE_SOAKING
    given, default = (spec.soak_tick_interval, _DEFAULT_SOAK_TICK) if soaking else (spec.tick_interval, _DEFAULT_TICK)
    interval = given.ToTimedelta() or default
    silence = now - rollout.last_tick_time.ToDatetime(UTC)
    return silence if silence > max(SILENT_TICKS * interval, timedelta(seconds=10)) else None


def next_approval_phase(rollout: Rollout) -> str:
    """The phase that a signature without a phase is meant for: the one awaited, else the next that asks for any."""
    phases = list(rollout.spec.phases)
    names = [phase.name for phase in phases]
    following = _following(rollout, names)
    if rollout.state != Rollout.STATE_AWAITING_APPROVAL:
        asking = [index for index in range(following, len(phases)) if phases[index].approvals.roles]
        following = asking[0] if asking else following
    return names[min(following, len(names) - 1)] if names else ""


def _following(rollout: Rollout, names: list[str]) -> int:
    """The place of the next phase; beyond the last one in the last."""
    position = names.index(rollout.phase) if rollout.phase in names else -1
    # `phase` is the one in force, which has a hold, or before the first one the awaited one, which has none yet.
    return position + 1 if rollout.HasField("phase_hold") else max(position, 0)


def what_next(rollout: Rollout, now: datetime) -> Advice:
    """What to do about a rollout in this state at this time."""
    name = short_name(rollout)
    silence = silent_for(rollout, now)
    if silence is not None:
        since, ago = words.moment(now - silence), words.span(silence.total_seconds())
        return Advice(
            f"no controller has looked since {since}, {ago} ago: start one, with the options that it always has "
            "(abort works without it)",
            f"covey controller --target {rollout.spec.target}",
        )
    if rollout.state in TERMINAL:
        return Advice("it has ended; read the report", f"covey rollout report {name}")
    if rollout.state == Rollout.STATE_ROLLING_BACK:
        return Advice("nothing: the controller reads the share back as 0 on every replica, then it ends")
    critical = [incident for incident in rollout.open_incidents if incident.critical]
    if critical:
        return Advice(
            "a critical incident is open; once it is over, resolve it",
            f"covey rollout incident {name} {critical[0].incident_id} --resolve",
            "resolve-incident",
        )
    if rollout.paused:
        return Advice("it is paused; triggers go on", f"covey rollout resume {name}", "resume")
    if rollout.missing_roles:
        phase = next_approval_phase(rollout)
        alone = not rollout.spec.HasField("approval_policy") or rollout.spec.approval_policy.one_person_many_roles
        mine = rollout.missing_roles if alone else rollout.missing_roles[:1]
        roles = " ".join(f"--role {role}" for role in mine)
        return Advice(
            f"phase {phase} needs the approval of {', '.join(rollout.missing_roles)}",
            f"covey rollout approve {name} --phase {phase} {roles}",
            "approve",
        )
    if rollout.calendar_wait:
        return _while_closed(rollout, name)
    if rollout.state == Rollout.STATE_DRAFT:
        return Advice("start it", f"covey rollout start {name}", "start")
    if rollout.state == Rollout.STATE_SCHEDULED:
        signs = _signs_first(rollout)
        asked = f"; {', '.join(signs)} will be asked to sign it" if signs else ""
        return Advice(f"nothing: the controller begins the first phase when its time has come{asked}")
    if rollout.state == Rollout.STATE_HOLDING:
        return _while_holding(rollout, name)
    return Advice("nothing: it advances by itself once everything is proven")


def _signs_first(rollout: Rollout) -> list[str]:
    """Roles whose approval the first phase takes, as its plan says; the controller has not asked for it yet."""
    approvals = rollout.spec.phases[0].approvals if rollout.spec.phases else rollout_spec_pb2.Phase().approvals
    return list(approvals.roles)


def _while_closed(rollout: Rollout, name: str) -> Advice:
    """The calendar opens by itself; in an emergency people override it."""
    if not rollout.calendar_override_roles:
        return Advice(f"nothing: {rollout.calendar_wait}")
    names = [phase.name for phase in rollout.spec.phases]
    phase = names[_following(rollout, names)]
    roles = " ".join(f"--role {role}" for role in rollout.calendar_override_roles)
    return Advice(
        f"nothing: {rollout.calendar_wait}; only in an emergency, override it",
        f'covey rollout approve {name} --phase {phase} {roles} --emergency --reason "..."',
    )


def _while_holding(rollout: Rollout, name: str) -> Advice:
    phase = next((phase for phase in rollout.spec.phases if phase.name == rollout.phase), rollout_spec_pb2.Phase())
    acceptable = {
        parse_statement(criterion.statement).text: criterion.accept_by
        for criterion in phase.criteria
        if criterion.accept_by
    }
    undecided = [
        verdict
        for verdict in rollout.verdicts
        if verdict.role == evidence_pb2.Verdict.ROLE_CRITERION
        and verdict.result != evidence_pb2.Verdict.RESULT_PASS
        and not verdict.report_only
    ]
    signed = {approval.statement for approval in rollout.approvals if approval.phase == rollout.phase}
    for verdict in undecided:
        if verdict.statement in acceptable and verdict.statement not in signed:
            role = acceptable[verdict.statement]
            return Advice(
                f"{role} may accept what {verdict.statement!r} could not decide",
                f'covey rollout approve {name} --phase {rollout.phase} --role {role} --statement "{verdict.statement}"',
                "approve",
            )
    if any(verdict.result == evidence_pb2.Verdict.RESULT_INVALID for verdict in undecided):
        return Advice("find out why its metrics cannot be believed", f"covey rollout explain {name}")
    if any(verdict.result == evidence_pb2.Verdict.RESULT_FAIL for verdict in undecided):
        return Advice(
            "a criterion is refuted: stop it, unless you know why",
            f'covey rollout abort {name} --reason "..."',
            "abort",
        )
    return Advice("it waits for evidence by itself; this says for what", f"covey rollout explain {name}")
