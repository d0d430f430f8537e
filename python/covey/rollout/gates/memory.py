"""Everything that gates remember between ticks, advanced by one tick at a constant cost.

Triggers keep one process per rollout (rollback evidence carries over phases), criteria begin anew in every phase. What
scales a tick's evidence - design effect, difference between learners, latency threshold - was known before the tick.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from covey.rollout.counts import Counts
from covey.rollout.gates.bursts import Bursts, design_effects
from covey.rollout.gates.formulas import (
    FEWEST_BASELINE_TICKS,
    LARGEST_USABLE_ERROR,
    advance_null,
    between_learner_error,
    level_step,
    ratio_step,
    rollback_null,
    share_of,
)
from covey.rollout.gates.look import NOTHING, Arm, Look
from covey.rollout.gates.rows import FIRST_LIMIT, NO_METRIC, Metrics, Rows
from covey.rollout.gates.values import ComparedByValue
from covey.stats import ADVANCE_RATIOS, ROLLBACK_RATIOS, advance_start_times
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
        earlier_ticks: looks with traffic of the baseline before the first phase.
        baseline: the baseline's arm since it is watched; candidate: the candidate's in all phases.
        rivals: the baseline's arm in all phases.
        tick: number of the trigger processes' last tick.
        share_at_start: 1/2 over start times; 1 where too little was seen before the first phase to tell bursts.
        log_masses: ln M of levels and ratios, shape (2, triggers, alternatives); None before tick 1.
        log_e: ln E of both, shape (2, triggers).
        effective: events and trials of each criterion, each tick's divided by its design effect, (2, criteria).
        margins: ln E of each ratio of each criterion, shape (criteria, ratios).
        exceedances: candidate's and baseline's slow requests of relative latencies, (2, quantiles): of the phase.
        thresholds: the duration that each relative latency was last compared at, seconds.
        effects: design effects last used, shape (metrics,).
        learner_errors: between-learner standard errors last used, shape (metrics,).
    """

    before: Bursts
    own: Bursts
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
    rivals: Arm = NOTHING
    tick: int = 0
    share_at_start: float = 1.0
    log_masses: Floats | None = None
    thresholds: tuple[float | None, ...] = ()

    @classmethod
    def empty(cls, plan: GatePlan) -> GateMemory:
        """Before the first tick."""
        bursts = Bursts.none(len(plan.weights_bp), plan.metrics.count)
        ones = np.ones(plan.metrics.count)
        return cls(
            bursts,
            bursts,
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
        return replace(
            self,
            criteria=criteria,
            before=self.before.joined(self.own),
            own=Bursts.none(len(plan.weights_bp), plan.metrics.count),
            share_at_start=share,
            effective=np.zeros((2, count)),
            margins=np.zeros((count, len(ADVANCE_RATIOS))),
            exceedances=np.zeros_like(self.exceedances),
        )

    def waited(self, plan: GatePlan, look: Look) -> GateMemory:
        """One tick before the first phase: only the baseline is learnt."""
        _, rival_events = self._slow(plan.metrics, look)
        events = _events(look.baseline.counts, plan.metrics, rival_events)
        trials = float(look.baseline.counts.requests)
        return replace(
            self,
            before=self.before.plus(events, trials, look.baseline.shards, plan.weights_bp),
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
        effects = design_effects(self.before, self.own, phase_index, plan.weights_bp[phase_index])
        errors = self._learner_errors(plan, plan.weights_bp[phase_index])
        mine, rival = self._slow(plan.metrics, look)
        masses, log_e = self._triggers(plan, look, effects, errors, (mine, rival))
        trials = float(look.baseline.counts.requests)
        events = _events(look.baseline.counts, plan.metrics, rival)
        memory = replace(
            self,
            own=self.own.plus(events, trials, look.baseline.shards, plan.weights_bp),
            effects=effects,
            learner_errors=errors,
            baseline=self.baseline.plus(look.baseline),
            candidate=self.candidate.plus(look.candidate),
            rivals=self.rivals.plus(look.baseline),
            tick=self.tick + 1,
            log_masses=masses,
            log_e=log_e,
            thresholds=tuple(self._thresholds(plan.metrics)),
        )
        if of_phase is None:
            return memory
        return memory._with_criteria(plan, of_phase, self)

    def _triggers(
        self, plan: GatePlan, look: Look, effects: Floats, errors: Floats, slow: tuple[Floats, Floats]
    ) -> tuple[Floats, Floats]:
        """Ln M and ln E of levels and ratios after this tick."""
        rows = plan.triggers
        if not rows.statements:
            return np.zeros((2, 0, len(ROLLBACK_RATIOS))), np.zeros((2, 0))
        counted = [
            look.probed.events_and_trials(statement, plan.metrics.limits_seconds, with_probes=True)
            if statement.counts_events
            else (0, 0)
            for statement in rows.statements
        ]
        x, n = np.array(counted, dtype=np.float64).T
        effect, error = _of_rows(rows, effects, 1.0), _of_rows(rows, errors, 0.0)
        levels = level_step(rows.table, x, n)
        ratios = _ratio_steps(rows, plan.metrics, look, slow, rollback_null(rows.null_ratio, error), advance=False)
        usable = look.comparable & rows.compared & (error <= LARGEST_USABLE_ERROR)
        steps = np.stack([levels, np.where(usable[:, np.newaxis], ratios, 0.0)]) / effect[:, np.newaxis]
        return advance_start_times(
            self.log_masses,
            steps,
            self.tick + 1,
            share_at_start=self.share_at_start,
            planned_ticks=plan.planned_ticks,
        )

    def _with_criteria(self, plan: GatePlan, look: Look, before: GateMemory) -> GateMemory:
        """With this tick's evidence on the phase's criteria; `before` is the memory that the tick found."""
        rows = self.criteria
        if rows is None or not rows.statements:
            return self
        counted = [
            look.candidate.counts.events_and_trials(statement, plan.metrics.limits_seconds)
            if statement.counts_events
            else (0, 0)
            for statement in rows.statements
        ]
        effect, error = _of_rows(rows, self.effects, 1.0), _of_rows(rows, self.learner_errors, 0.0)
        mine, rival = slow = before._slow(plan.metrics, look)
        null = advance_null(rows.null_ratio, error)
        null = np.where(rows.compared & (error <= LARGEST_USABLE_ERROR) & look.comparable, null, np.nan)
        margins = _ratio_steps(rows, plan.metrics, look, slow, null, advance=True) / effect[:, np.newaxis]
        return replace(
            self,
            effective=self.effective + np.array(counted, dtype=np.float64).T / effect,
            margins=self.margins + margins,
            exceedances=self.exceedances + np.stack([mine, rival]),
        )

    def _learner_errors(self, plan: GatePlan, weight_bp: int) -> Floats:
        """Between-learner standard errors by metric, from the baseline's shards so far; 0 where there are none."""
        errors = np.zeros(plan.metrics.count)
        shards = self.baseline.shards
        if shards is not None:
            errors[:FIRST_LIMIT] = between_learner_error(shards.events, shards.trials, weight_bp / 10_000)
        return errors

    def _thresholds(self, metrics: Metrics) -> list[float | None]:
        durations = self.baseline.durations
        edges = [None if durations is None else durations.edge_above(share) for share in metrics.slower_shares]
        return [None if edge is None or durations is None else durations.edges_seconds[edge] for edge in edges]

    def _slow(self, metrics: Metrics, look: Look) -> tuple[Floats, Floats]:
        """Requests of candidate and baseline slower than the baseline's own quantiles up to the tick before."""
        slow = np.zeros((2, len(metrics.slower_shares)))
        known, mine, rival = self.baseline.durations, look.candidate.durations, look.baseline.durations
        if known is None or mine is None or rival is None or mine.edges_seconds != known.edges_seconds:
            return slow[0], slow[1]
        for number, share in enumerate(metrics.slower_shares):
            edge = known.edge_above(share)
            if edge is not None:
                slow[:, number] = mine.slower_than(edge), rival.slower_than(edge)
        return slow[0], slow[1]


def _events(counts: Counts, metrics: Metrics, slow: Floats, *, with_shed: bool = False) -> Floats:
    """Bad events of each metric, shape (metrics,)."""
    limits = len(metrics.limits_seconds)
    over = counts.over or (0,) * limits
    shed = counts.shed if with_shed else 0
    absolute = [counts.errors + shed, counts.unavailable + shed, *(min(slower, counts.requests) for slower in over)]
    return np.concatenate([np.array(absolute, dtype=np.float64), slow])


def _of_rows(rows: Rows, by_metric: Floats, otherwise: float) -> Floats:
    """Each row's number of its metric."""
    return np.where(rows.metric == NO_METRIC, otherwise, by_metric[rows.metric])


def _ratio_steps(
    rows: Rows, metrics: Metrics, look: Look, slow: tuple[Floats, Floats], null: Floats, *, advance: bool
) -> Floats:
    """What the tick adds to each ratio of each row. Shed requests enter relative tests only, as failures."""
    mine, rival = look.candidate.counts, look.baseline.counts
    x = _events(mine, metrics, slow[0], with_shed=True)[rows.metric]
    y = _events(rival, metrics, slow[1], with_shed=True)[rows.metric]
    n, m = float(mine.requests + mine.shed), float(rival.requests + rival.shed)
    usable = np.where(rows.compared & np.isfinite(null), null, np.nan)
    share = np.full(x.shape, float(share_of(np.array(n), np.array(m))))
    return ratio_step(np.minimum(x, n), np.minimum(y, m), share, usable, advance=advance)
