"""Everything that gates remember between ticks, advanced by one tick at a constant cost.

Triggers keep one process per rollout (rollback evidence carries over phases), criteria begin anew in every phase. What
scales a tick's evidence - design effect, difference between learners, latency threshold - was known before the tick.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from covey.rollout.counts import Counts
from covey.rollout.gates.bursts import Bursts, design_effects
from covey.rollout.gates.formulas import (
    FEWEST_BASELINE_TICKS,
    LARGEST_IGNORED_ERROR,
    LARGEST_USABLE_ERROR,
    SMALLEST_MARGIN,
    advance_null,
    level_step,
    ratio_step,
    rollback_null,
)
from covey.rollout.gates.look import NOTHING, Arm, Look
from covey.rollout.gates.rows import FIRST_LIMIT, Metrics, Rows
from covey.rollout.gates.values import ComparedByValue, changed
from covey.stats import ADVANCE_RATIOS, ROLLBACK_RATIOS, advance_start_times
from covey.stats.dispersion import between_learner_error
from covey.stats.special import Floats

SHARE_AT_START = 0.5


@dataclass(frozen=True, eq=False)
class GatePlan(ComparedByValue):
    """What the gates need of a plan.

    Attributes:
        metrics: what both arms are counted by.
        triggers: their rows.
        weights_bp: the candidate's weight by phase.
        planned_ticks: of the triggers' processes.
    """

    metrics: Metrics
    triggers: Rows
    weights_bp: tuple[int, ...]
    planned_ticks: int


@dataclass(frozen=True, eq=False)
class GateMemory(ComparedByValue):
    """What is remembered.

    Attributes:
        criteria: rows of the phase's criteria; None before the first phase.
        before: bursts of the baseline before the phase; own: in it.
        effects_before: design effects shown before the phase for its weight, shape (metrics,).
        earlier_ticks: looks with traffic of the baseline before the first phase.
        baseline: the baseline's arm since it is watched; candidate: the candidate's in all phases.
        rivals: the baseline's counts in all phases.
        tick: number of the trigger processes' last tick.
        share_at_start: 1/2 over start times; 1 where too little was seen before the first phase to tell bursts.
        log_masses: ln M of levels and ratios, shape (2, triggers, alternatives); None before tick 1.
        log_e: ln E of both, shape (2, triggers).
        effective: events and trials of each criterion, each tick's divided by its design effect, (2, criteria).
        margins: ln E of each ratio of each criterion, shape (criteria, ratios).
        exceedances: candidate's and baseline's slow requests of relative latencies, (2, quantiles): of the phase.
        thresholds: the duration that each relative latency was last compared at, seconds.
        effects: design effects last used, shape (metrics + 1,): the last one is 1, of statements without a metric.
        learner_errors: between-learner standard errors last used, likewise, with 0.
    """

    before: Bursts
    own: Bursts
    effects_before: Floats
    effects: Floats
    learner_errors: Floats
    log_e: Floats
    effective: Floats
    margins: Floats
    exceedances: Floats
    criteria: Rows | None = None
    earlier_ticks: int = 0
    baseline: Arm = NOTHING
    candidate: Arm = NOTHING
    rivals: Counts = NOTHING.counts
    tick: int = 0
    share_at_start: float = 1.0
    log_masses: Floats | None = None
    thresholds: tuple[float | None, ...] = ()

    @classmethod
    def empty(cls, plan: GatePlan) -> GateMemory:
        """Before the first tick."""
        bursts = Bursts.none(len(plan.weights_bp), plan.metrics.count)
        ones = np.ones(plan.metrics.count + 1)
        return cls(
            bursts,
            bursts,
            ones[:-1],
            ones,
            ones * 0.0,
            np.zeros((2, len(plan.triggers.statements))),
            np.zeros((2, 0)),
            np.zeros((0, len(ADVANCE_RATIOS))),
            np.zeros((2, len(plan.metrics.slower_shares))),
            thresholds=(None,) * len(plan.metrics.slower_shares),
        )

    @property
    def over_start_times(self) -> bool:
        """Whether triggers are mixed over the time at which harm may have set in."""
        return self.share_at_start < 1.0

    def entering(self, plan: GatePlan, phase_index: int, criteria: Rows) -> GateMemory:
        """A phase begins: criteria anew; what was seen of bursts so far was seen before it."""
        count = len(criteria.statements)
        share = self.share_at_start
        if phase_index == 0:
            share = SHARE_AT_START if self.earlier_ticks >= FEWEST_BASELINE_TICKS else 1.0
        before = self.before.joined(self.own)
        return replace(
            self,
            criteria=criteria,
            before=before,
            effects_before=before.effects(phase_index, plan.weights_bp[phase_index]),
            own=Bursts.none(len(plan.weights_bp), plan.metrics.count),
            share_at_start=share,
            effective=np.zeros((2, count)),
            margins=np.zeros((count, len(ADVANCE_RATIOS))),
            exceedances=np.zeros_like(self.exceedances),
        )

    def waited(self, plan: GatePlan, look: Look) -> GateMemory:
        """One tick before the first phase: only the baseline is learnt."""
        slower = self._slower(look, self._edges(plan.metrics))
        trials = float(look.baseline.counts.requests)
        return replace(
            self,
            before=self.before.plus(
                _failures(plan.metrics, [look.baseline.counts], slower[1:])[0],
                trials,
                look.baseline.shards,
                plan.weights_bp,
            ),
            baseline=self.baseline.plus(look.baseline),
            earlier_ticks=self.earlier_ticks + (trials > 0),
        )

    def advanced(self, plan: GatePlan, phase_index: int, look: Look, *, of_phase: Look | None) -> GateMemory:
        """One tick of a phase.

        Args:
            plan: the plan's.
            phase_index: the phase in force.
            look: everything in this tick: what triggers judge.
            of_phase: the part that belongs to the phase's evidence; None where nothing does.
        """
        weight_bp = plan.weights_bp[phase_index]
        # What scales the tick was known before it.
        effects = np.ones(plan.metrics.count + 1)
        effects[:-1] = design_effects(self.effects_before, self.own, phase_index, weight_bp)
        errors, edges = self._learner_errors(plan, weight_bp), self._edges(plan.metrics)
        tick = _TickCounts.of(plan.metrics, look, self._slower(look, edges))
        masses, log_e = self._triggers(plan, look, tick, effects, errors)
        changes: dict[str, Any] = {
            "own": self.own.plus(tick.rival, tick.rival_requests, look.baseline.shards, plan.weights_bp),
            "effects": effects,
            "learner_errors": errors,
            "baseline": self.baseline.plus(look.baseline),
            "candidate": self.candidate.plus(look.candidate),
            "rivals": self.rivals + look.baseline.counts,
            "tick": self.tick + 1,
            "log_masses": masses,
            "log_e": log_e,
            "thresholds": self._thresholds(edges),
        }
        if of_phase is not None and self.criteria is not None and self.criteria.statements:
            if of_phase.candidate is not look.candidate or of_phase.baseline is not look.baseline:
                tick = _TickCounts.of(plan.metrics, of_phase, self._slower(of_phase, edges))
            changes |= self._criteria(plan, self.criteria, of_phase, tick, effects, errors)
        return changed(self, changes)

    def _triggers(
        self, plan: GatePlan, look: Look, tick: _TickCounts, effects: Floats, errors: Floats
    ) -> tuple[Floats, Floats]:
        """Ln M and ln E of levels and ratios after this tick."""
        rows = plan.triggers
        if not rows.statements:
            return np.zeros((2, 0, len(ROLLBACK_RATIOS))), np.zeros((2, 0))
        x, n = rows.counted(look.probed, plan.metrics, with_probes=True)
        effect = effects[rows.metric][:, np.newaxis]
        steps = np.zeros((2, len(rows.statements), len(ROLLBACK_RATIOS)))
        steps[0] = level_step(rows.table, x, n)
        if look.comparable and len(rows.comparisons):
            null = _widened(rows, errors, advance=False)
            steps[1, rows.comparisons] = tick.ratio_steps(rows, null, advance=False)
        return advance_start_times(
            self.log_masses,
            steps / effect,
            self.tick + 1,
            share_at_start=self.share_at_start,
            planned_ticks=plan.planned_ticks,
        )

    def _criteria(
        self, plan: GatePlan, rows: Rows, look: Look, tick: _TickCounts, effects: Floats, errors: Floats
    ) -> dict[str, Floats]:
        """What this tick changes of the evidence on the phase's criteria."""
        effect = effects[rows.metric]
        changes = {
            "effective": self.effective + rows.counted(look.candidate.counts, plan.metrics) / effect,
            "exceedances": self.exceedances + tick.slower,
        }
        if look.comparable and len(rows.comparisons):
            compared, null = rows.comparisons, _widened(rows, errors, advance=True)
            margins = self.margins.copy()
            margins[compared] += tick.ratio_steps(rows, null, advance=True) / effect[compared, np.newaxis]
            changes["margins"] = margins
        return changes

    def _learner_errors(self, plan: GatePlan, weight_bp: int) -> Floats:
        """Between-learner standard errors by metric, from the baseline's shards so far; 0 where there are none."""
        errors = np.zeros(plan.metrics.count + 1)
        shards = self.baseline.shards
        if shards is not None:
            errors[:FIRST_LIMIT] = between_learner_error(shards.events, shards.trials, weight_bp / 10_000)
        return errors

    def _edges(self, metrics: Metrics) -> tuple[int | None, ...]:
        """Of the durations: the edge above each of the baseline's own quantiles up to the tick before."""
        durations = self.baseline.durations
        return tuple(None if durations is None else durations.edge_above(share) for share in metrics.slower_shares)

    def _thresholds(self, edges: tuple[int | None, ...]) -> tuple[float | None, ...]:
        durations = self.baseline.durations
        return tuple(None if edge is None or durations is None else durations.edges_seconds[edge] for edge in edges)

    def _slower(self, look: Look, edges: tuple[int | None, ...]) -> Floats:
        """Requests of candidate and baseline beyond those edges, shape (2, quantiles)."""
        slower = np.zeros((2, len(edges)))
        known, mine, rival = self.baseline.durations, look.candidate.durations, look.baseline.durations
        if known is None or mine is None or rival is None or mine.edges_seconds != known.edges_seconds:
            return slower
        for number, edge in enumerate(edges):
            if edge is not None:
                slower[:, number] = mine.slower_than(edge), rival.slower_than(edge)
        return slower


def _widened(rows: Rows, errors: Floats, *, advance: bool) -> Floats:
    """R0 of the rows that are compared, for what differs between learners; NaN where it cannot be compared."""
    null, error = rows.null_ratio[rows.comparisons], errors[rows.compared_metric]
    if error.max() <= LARGEST_IGNORED_ERROR and (not advance or null.min() >= SMALLEST_MARGIN):
        return null  # as mostly, and as the formulas would say
    wider = advance_null(null, error) if advance else rollback_null(null, error)
    return np.where(error <= LARGEST_USABLE_ERROR, wider, np.nan)


class _TickCounts(NamedTuple):
    """One look in numbers.

    Attributes:
        rival: failures of the baseline by metric, shape (metrics,).
        rival_requests: its requests.
        compared: failures of candidate and baseline by metric, as relative tests count them, shape (2, metrics):
            requests refused for overload are failures and trials.
        share: the candidate's of the trials of relative tests.
        slower: beyond the edges of relative latencies, shape (2, quantiles).
    """

    rival: Floats
    rival_requests: int
    compared: Floats
    share: float
    slower: Floats

    @classmethod
    def of(cls, metrics: Metrics, look: Look, slower: Floats) -> _TickCounts:
        """Both arms of a look."""
        mine, other = look.candidate.counts, look.baseline.counts
        failures = _failures(metrics, (mine, other), slower)
        compared = failures.copy()
        if mine.shed or other.shed:
            compared[:, :FIRST_LIMIT] += [[mine.shed], [other.shed]]
        trials = (mine.requests + mine.shed, other.requests + other.shed)
        np.minimum(compared, np.array(trials, dtype=np.float64)[:, np.newaxis], out=compared)
        share = trials[0] / sum(trials) if any(trials) else 0.0
        return cls(failures[1], other.requests, compared, share, slower)

    def ratio_steps(self, rows: Rows, null: Floats, *, advance: bool) -> Floats:
        """What the tick adds to each ratio of the rows that are compared, shape (compared, ratios)."""
        x, y = self.compared[:, rows.compared_metric]
        return ratio_step(x, y, np.array(self.share), null, advance=advance)


def _failures(metrics: Metrics, arms: Sequence[Counts], slower: Floats) -> Floats:
    """Bad events of each arm by metric, shape (arms, metrics)."""
    none = (0,) * len(metrics.limits_seconds)
    return np.array(
        [
            [
                arm.errors,
                arm.unavailable,
                *[min(late, arm.requests) for late in arm.over or none],
                *slow,
            ]
            for arm, slow in zip(arms, slower.tolist(), strict=True)
        ],
        dtype=np.float64,
    )
