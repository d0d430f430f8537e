"""A report from journal entries, and from nothing else. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC

from covey.report import lines, plan, story, words
from covey.report.alpha import alpha_lines
from covey.report.forms import Report
from covey.report.model import Panel, Totals, VerdictLine
from covey.report.schedule import schedule_lines
from covey.report.series import Accumulator, panels
from covey.report.stabilisation import stabilisation
from covey.rollout.state import RolloutState
from covey.rollout.verdicts import current_verdicts
from covey.v1 import journal_pb2

_INCIDENT_KINDS = frozenset({"incident_reported", "incident_resolved"})
_OVERRIDE_KINDS = frozenset({"promoted", "postponed", "paused", "resumed"})


def build_report(entries: Iterable[journal_pb2.Entry]) -> Report:
    """The report of a journal, whole or up to now, ticks included.

    Raises:
        ValueError: no entries, or entries that are no journal (`IllegalEntry`).
    """
    journal = list(entries)
    series, state = panels(journal)
    verdicts = [lines.verdict_line(verdict) for verdict in lines.final_verdicts(journal) or current_verdicts(state)]
    told = story.tell(journal)
    overridden = {entry.sequence for entry in journal if entry.phase_entered.overridden_calendar}
    phases = lines.phase_lines(journal, state, series)
    undecided = lines.undecided_lines(journal, phases)
    decision, headline, reason = _decision(journal, state, series)
    first, last = journal[0], journal[-1]
    return Report(
        name=state.name,
        uid=state.uid,
        description=state.spec.description,
        target=state.spec.target,
        baseline=state.spec.baseline,
        candidate=state.spec.candidate,
        spec_digest=state.spec_digest,
        version=last.version,
        excluded_segments=list(state.excluded_segments),
        decision=decision,
        headline=headline,
        reason=reason,
        decided_by=_decided_by(journal, verdicts),
        created=words.instant(first.time),
        started=next((event.time for event in told if event.kind == "started"), ""),
        finished=next((event.time for event in told if event.kind == "finished"), ""),
        seconds=(last.time.ToDatetime(UTC) - first.time.ToDatetime(UTC)).total_seconds(),
        entry_count=len(journal),
        totals=_totals(journal, state),
        phases=phases,
        plan=plan.plan_lines(state.spec),
        plan_triggers=[plan.trigger_text(trigger) for trigger in state.spec.triggers],
        undecided=undecided,
        timeline=told,
        approvals=lines.approval_lines(journal),
        checkpoints=lines.checkpoint_lines(journal),
        overrides=[event for event in told if event.kind in _OVERRIDE_KINDS or event.sequence in overridden],
        incidents=[event for event in told if event.kind in _INCIDENT_KINDS],
        on_call={
            role: name for role in ("primary", "secondary", "escalation") if (name := getattr(state.spec.on_call, role))
        },
        unverified_actors=sorted(
            {entry.actor for entry in journal if not entry.actor_verified and entry.actor not in {"", "server"}}
        ),
        panels=series,
        alpha=alpha_lines(journal, state),
        alpha_budget=state.spec.false_rollback_budget,
        schedule=schedule_lines(state, last.time.ToDatetime(UTC)),
        stabilisation=stabilisation(state, series, told, undecided),
    )


def _decision(
    journal: Sequence[journal_pb2.Entry], state: RolloutState, series: Sequence[Panel]
) -> tuple[str, str, str]:
    """(decision, headline, reason)."""
    last = journal[-1]
    candidate, baseline = state.spec.candidate, state.spec.baseline
    phase = state.phase or "no phase"
    rollback = next((entry for entry in journal if entry.WhichOneof("payload") == "rollback_started"), None)
    if rollback is not None:
        began = rollback.rollback_started
        decision = words.state(state.state)
        shown = series[-1].share_steps[0][1] if series else 0
        after = (
            next((seconds for seconds, share in reversed(series[-1].share_steps) if share == 0), 0.0) if series else 0
        )
        headline = (
            f"{candidate} was taken back in phase {phase} at {words.share(shown)} of learners after "
            f"{words.span(after)}; {baseline} serves everybody."
            if series
            else f"{candidate} was stopped before it served anybody; {baseline} serves everybody."
        )
        why = began.explanation or story.cause(began.cause)
        by = f" By {rollback.actor}: {rollback.reason}" if rollback.reason and rollback.reason not in why else ""
        return decision, headline, f"{why}{by}"
    decision = words.state(state.state)
    if last.WhichOneof("payload") == "finished":
        headline = f"{candidate} serves every learner and is the stable variant now; {baseline} was the one before."
        if state.spec.dry_run:
            headline = f"{candidate} passed every phase of a dry run; {baseline} serves everybody as before."
        steps = ", ".join(f"{panel.name} at {words.share(panel.share_steps[0][1])}" for panel in series)
        return decision, headline, f"Every phase had what it asked for: {steps}."
    share = words.share(state.candidate_weight_bp)
    headline = f"On its way: {share} of learners get {candidate}, the rest {baseline}; {phase}."
    return decision, headline, state.explanation


def _decided_by(journal: Sequence[journal_pb2.Entry], verdicts: Sequence[VerdictLine]) -> list[VerdictLine]:
    """The verdicts behind the decision: the statement that rolled back, or what the last phase had proven."""
    for entry in journal:
        if entry.WhichOneof("payload") == "rollback_started":
            statement = entry.rollback_started.statement
            return [line for line in verdicts if line.statement == statement]
    return [line for line in verdicts if line.role == "criterion"]


def _totals(journal: Sequence[journal_pb2.Entry], state: RolloutState) -> Totals:
    accumulator = Accumulator()
    observed, ticks, learners = 0.0, 0, dict[str, int]()
    phase = ""
    for entry in journal:
        kind = entry.WhichOneof("payload")
        if kind == "phase_entered":
            phase = entry.phase_entered.phase
        if kind != "tick":
            continue
        ticks += 1
        accumulator.add(entry.tick)
        observed += entry.tick.observed.ToTimedelta().total_seconds()
        exposed = sum(count.learner_count for count in entry.tick.learners if count.variant == state.spec.candidate)
        learners[phase] = max(learners.get(phase, 0), exposed)
    candidate, baseline = accumulator.of(state.spec.candidate), accumulator.of(state.spec.baseline)
    return Totals(
        candidate_requests=candidate.requests,
        candidate_errors=candidate.errors,
        baseline_requests=baseline.requests,
        baseline_errors=baseline.errors,
        # Shares only grow and routing is sticky, so the largest phase holds the learners of the others.
        candidate_learners=max(learners.values(), default=0),
        tick_count=ticks,
        observed_seconds=observed,
    )
