"""Verdicts as metrics: what the gates say about every rollout that is driven here, for dashboards and alerts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from covey.v1.evidence_pb2 import Verdict

_LABELS = ("rollout", "phase", "role", "statement")


class VerdictPage(Collector):
    """The last verdicts of each rollout; a scrape sees all of one look or all of another."""

    def __init__(self) -> None:
        # Replaced, never changed: a scrape takes no lock.
        self._shown: dict[str, tuple[str, tuple[Verdict, ...]]] = {}

    def show(self, rollout: str, phase: str, verdicts: Sequence[Verdict]) -> None:
        """Replace what is shown of a rollout."""
        self._shown = {**self._shown, rollout: (phase, tuple(verdicts))}

    def forget(self, rollout: str) -> None:
        """Show nothing of a rollout any more."""
        self._shown = {name: shown for name, shown in self._shown.items() if name != rollout}

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry need not know the names beforehand."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The families of the page."""
        rows = [
            ([rollout, phase, role_word(verdict), verdict.statement], verdict)
            for rollout, (phase, verdicts) in sorted(self._shown.items())
            for verdict in verdicts
        ]
        result = GaugeMetricFamily(
            "covey_rollout_verdict",
            "1 for what the gate says now: PASS, FAIL, INSUFFICIENT or INVALID; of a trigger, FAIL is harm shown.",
            labels=[*_LABELS, "result"],
        )
        for labels, verdict in rows:
            result.add_metric([*labels, result_word(verdict)], 1)
        yield result
        log_e = _gauge("covey_rollout_log_e", "ln E of what the statement needs.")
        threshold = _gauge("covey_rollout_log_e_threshold", "What ln E must reach.")
        alpha = _gauge("covey_rollout_alpha_spent", "Chance of a wrong decision that the statement may spend.")
        needed = _gauge("covey_rollout_needed_count", "Further trials until PASS; no series where none would do.")
        eta = _gauge("covey_rollout_eta_seconds", "Time until PASS at the current rate; no series where none would do.")
        estimate = _gauge("covey_rollout_estimate", "What the statement is about, as estimated; a share or seconds.")
        lower = _gauge("covey_rollout_estimate_lower", "Lower end of its always-valid interval; no series without one.")
        upper = _gauge("covey_rollout_estimate_upper", "Upper end of its always-valid interval; no series without one.")
        limit = _gauge("covey_rollout_limit", "What the statement holds the estimate against.")
        events = _gauge("covey_rollout_event_count", "Bad events of the candidate that were counted.")
        trials = _gauge("covey_rollout_trial_count", "Trials, or learners, that they were counted in.")
        effect = _gauge("covey_rollout_design_effect", "What bursts take off the evidence: 1 is nothing.")
        for labels, verdict in rows:
            if verdict.HasField("estimate"):
                estimate.add_metric(labels, verdict.estimate)
            if verdict.HasField("lower"):
                lower.add_metric(labels, verdict.lower)
            if verdict.HasField("upper"):
                upper.add_metric(labels, verdict.upper)
            limit.add_metric(labels, verdict.limit)
            events.add_metric(labels, verdict.event_count)
            trials.add_metric(labels, verdict.trial_count)
            if verdict.design_effect:
                effect.add_metric(labels, verdict.design_effect)
            if verdict.log_threshold:
                log_e.add_metric(labels, verdict.log_e_value)
                threshold.add_metric(labels, verdict.log_threshold)
            if verdict.alpha_spent:
                alpha.add_metric(labels, verdict.alpha_spent)
            if verdict.HasField("needed_count"):
                needed.add_metric(labels, verdict.needed_count)
            if verdict.HasField("eta"):
                eta.add_metric(labels, verdict.eta.ToTimedelta().total_seconds())
        yield from (log_e, threshold, alpha, needed, eta, estimate, lower, upper, limit, events, trials, effect)


def role_word(verdict: Verdict) -> str:
    """ROLE_TRIGGER is "trigger"."""
    return Verdict.Role.Name(verdict.role).removeprefix("ROLE_").lower()


def result_word(verdict: Verdict) -> str:
    """RESULT_PASS is "PASS"."""
    return Verdict.Result.Name(verdict.result).removeprefix("RESULT_")


def _gauge(name: str, help_text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help_text, labels=_LABELS)
