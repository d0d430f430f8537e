"""The status screen: what an operator at three in the morning reads in five seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from covey.cli.console import BAD, QUIET, RESULT_STYLES, STATE_STYLES, WAITING, text
from covey.cli.rollout_live import ShareHistory, proof_bar, time_left
from covey.report import advice, words
from covey.v1 import evidence_pb2
from covey.v1.rollouts_pb2 import Rollout

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

_BAR_CELLS = 16
_TIMED = frozenset({Rollout.STATE_RUNNING, Rollout.STATE_HOLDING, Rollout.STATE_SOAKING})


def screen(
    rollout: Rollout,
    now: datetime,
    command: Callable[[str], str] = str,
    history: ShareHistory | None = None,
    ways_out: bool = False,
) -> Group:
    """Everything about a rollout on one screen of 80 columns.

    Args:
        rollout: as the server tells it.
        now: aware.
        command: makes of a command one that reaches the same server.
        history: of the share, drawn where it is known.
        ways_out: says how to stop the rollout, and how to leave the view.
    """
    from rich.console import Group

    parts: list[Group | Table | str] = [top(rollout, now, command, history)]
    verdicts = verdict_table(rollout)
    if verdicts:
        parts += ["", verdicts]
    if ways_out:
        parts += ["", ways_out_table(rollout, command, hears_keys=True)]
    return Group(*parts)


def top(rollout: Rollout, now: datetime, command: Callable[[str], str], history: ShareHistory | None) -> Group:
    """What is happening, why, and what to type: the part that is never left out."""
    from rich.console import Group

    return Group(_headline(rollout), _facts(rollout, now, command, history))


def ways_out_table(rollout: Rollout, command: Callable[[str], str], hears_keys: bool) -> Table:
    """How to stop the rollout, and how to leave the view."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(style=QUIET, no_wrap=True, min_width=11)
    table.add_column(overflow="fold")
    name = advice.short_name(rollout)
    if rollout.state in advice.DRIVEN and rollout.state != Rollout.STATE_ROLLING_BACK:
        stop = command(f'covey rollout abort {name} --reason "..."')
        table.add_row("  stop it", text(f"$ {stop}"))
    table.add_row(
        "  leave",
        text("q; the rollout goes on; ? tells the other keys" if hears_keys else "Ctrl-C; the rollout goes on", QUIET),
    )
    return table


def _headline(rollout: Rollout) -> Table:
    from rich.table import Table

    state = words.state(rollout.state)
    line = Table.grid(padding=(0, 2))
    cells = [text(advice.short_name(rollout), "bold"), text(state, STATE_STYLES.get(state, "bold"))]
    names = [phase.name for phase in rollout.spec.phases]
    if rollout.phase in names:
        cells.append(text(f"phase {rollout.phase} ({names.index(rollout.phase) + 1} of {len(names)})"))
    if rollout.paused:
        cells.append(text("PAUSED", f"bold {WAITING}"))
    if rollout.spec.dry_run:
        cells.append(text("dry run: no traffic moves", QUIET))
    line.add_row(*cells)
    return line


def _facts(rollout: Rollout, now: datetime, command: Callable[[str], str], history: ShareHistory | None) -> Table:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(style=QUIET, no_wrap=True, min_width=11)
    table.add_column(overflow="fold")
    table.add_row("  traffic", text(_traffic(rollout)))
    over_time = history.line(now) if history is not None else ""
    if over_time:
        table.add_row("", text(over_time, QUIET))
    if rollout.excluded_segments:
        table.add_row("  excluded", text(f"{', '.join(rollout.excluded_segments)}: back at the baseline", WAITING))
    if rollout.state not in advice.TERMINAL and rollout.HasField("phase_hold"):
        table.add_row("  time", text(_progress(rollout)))
    if rollout.explanation:
        table.add_row("  why", text(rollout.explanation))
    step = advice.what_next(rollout, now)
    table.add_row("  next", text(step.sentence))
    if step.command:
        table.add_row("", text(f"$ {command(step.command)}", "bold"))
    table.add_row("  approvals", text(_approvals(rollout), WAITING if rollout.missing_roles else ""))
    table.add_row("  incidents", text(_incidents(rollout), BAD if rollout.open_incidents else ""))
    table.add_row("  last look", text(_last_look(rollout, now), BAD if advice.silent_for(rollout, now) else ""))
    return table


def _traffic(rollout: Rollout) -> str:
    spec = rollout.spec
    if rollout.state == Rollout.STATE_SUCCEEDED and not spec.dry_run:
        return f"every learner to {spec.candidate}, the stable variant now"
    if rollout.candidate_weight_bp == 0:
        return f"every learner to {spec.baseline}, none to {spec.candidate}"
    return f"{words.share(rollout.candidate_weight_bp)} of learners to {spec.candidate}, the rest {spec.baseline}"


def _progress(rollout: Rollout) -> str:
    elapsed = rollout.phase_elapsed.ToTimedelta().total_seconds()
    hold = rollout.phase_hold.ToTimedelta().total_seconds()
    part = min(elapsed / hold, 1.0) if hold > 0 else 1.0
    filled = int(part * _BAR_CELLS)
    bar = "█" * filled + "░" * (_BAR_CELLS - filled)
    left = time_left(rollout) if rollout.state in _TIMED else ""
    return f"{words.span(elapsed)} of {words.span(hold)}  {bar} {part:.0%}" + (f"  {left}" if left else "")


def _approvals(rollout: Rollout) -> str:
    phase = advice.next_approval_phase(rollout) if rollout.missing_roles else rollout.phase
    signed = [approval for approval in rollout.approvals if not approval.overrides_calendar]
    given = [f"{approval.role} ({approval.actor})" for approval in signed if approval.phase == phase]
    parts = [f"{phase}: {', '.join(given)}"] if given else []
    if rollout.missing_roles:
        parts.append(f"missing for {phase}: {', '.join(rollout.missing_roles)}")
    return "; ".join([*parts, *_overrides(rollout)]) or "none asked for now"


def _overrides(rollout: Rollout) -> Iterator[str]:
    """What is signed under the calendar's override: "ramp in spite of the calendar: 1 of 2 operations (olga)"."""
    rule = rollout.spec.calendar.emergency
    needed = {quorum.role: quorum.people_count for quorum in rule.quorums}
    given = [one for one in rollout.approvals if one.overrides_calendar and not one.void_reason]
    names = [phase.name for phase in rollout.spec.phases]
    since = names.index(rollout.phase) if rollout.phase in names else 0
    for phase in names[since:]:
        if not any(approval.phase == phase for approval in given):
            continue
        roles = []
        for role in rule.roles:
            people = [approval.actor for approval in given if (approval.phase, approval.role) == (phase, role)]
            listed = f" ({', '.join(people)})" if people else ""
            roles.append(f"{len(people)} of {needed.get(role, 1)} {role}{listed}")
        yield f"{phase} in spite of the calendar: {', '.join(roles)}"


def _incidents(rollout: Rollout) -> str:
    return (
        "; ".join(
            f"{incident.incident_id}{' (critical)' if incident.critical else ''}: {incident.description}"
            for incident in rollout.open_incidents
        )
        or "none open"
    )


def _last_look(rollout: Rollout, now: datetime) -> str:
    journal = f"journal entry {words.count(rollout.last_sequence)}"
    if not rollout.HasField("last_tick_time"):
        return f"none yet; {journal}"
    ago = (now - rollout.last_tick_time.ToDatetime(UTC)).total_seconds()
    when = (
        words.instant(rollout.last_tick_time) if rollout.state in advice.TERMINAL else f"{words.span(max(ago, 0))} ago"
    )
    return f"{when}; {journal}, epoch {rollout.epoch}"


def verdict_table(rollout: Rollout) -> Table | None:
    """Criteria, then triggers; None where no tick has judged any."""
    from rich.table import Table

    if not rollout.verdicts:
        return None
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style=QUIET)
    table.add_column("statement", overflow="fold", max_width=30)
    table.add_column("verdict", no_wrap=True)
    table.add_column("estimate [interval]", overflow="fold")
    table.add_column("counters", overflow="fold")
    kinds = (
        ("advances once all PASS:", evidence_pb2.Verdict.ROLE_CRITERION),
        ("rolls back once shown:", evidence_pb2.Verdict.ROLE_TRIGGER),
    )
    for title, role in kinds:
        verdicts = [verdict for verdict in rollout.verdicts if verdict.role == role]
        if verdicts:
            table.add_row(text(title, QUIET))
        for verdict in verdicts:
            _add_verdict(table, verdict)
    return table


def _add_verdict(table: Table, verdict: evidence_pb2.Verdict) -> None:
    result = words.result(verdict)
    estimate = text(words.estimate(verdict))
    remarks = [f"needs {words.needs(verdict)}"] if words.needs(verdict) else []
    if verdict.report_only:
        remarks.append("report only")
    if verdict.literal_rule_holds:
        remarks.append(f"beyond the limit for {words.duration(verdict.literal_duration)}")
    learners = verdict.affected_learner_count
    affected = f"{words.count(learners)}+ learners" if learners and result in {"FAIL", "SHOWN"} else ""
    counters = text(words.counters(verdict))
    for fact in filter(None, (words.rival(verdict), affected)):
        counters.append("\n").append_text(text(fact, QUIET))
    for remark in remarks:
        estimate.append("\n").append_text(text(remark, WAITING))
    statement = text(f"  {verdict.statement}")
    if proof := proof_bar(verdict):
        statement.append("\n").append_text(text(f"  {proof}", QUIET))
    table.add_row(
        statement,
        text(result, RESULT_STYLES.get(result, "")),
        estimate,
        counters,
    )
