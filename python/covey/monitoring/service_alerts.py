"""Alerts on what callers of the service meet."""

from __future__ import annotations

from covey.monitoring.alerts import Alert, Condition
from covey.monitoring.objectives import BURNS, Burn, Objectives
from covey.monitoring.recording import FAILED, SHED, SLOW


def service_alerts(objectives: Objectives, job: str) -> list[Alert]:
    """The promise burning, refusals, and servers that are not there."""
    return [
        *(_failures(objectives, burn) for burn in BURNS),
        *(_slowness(objectives, burn) for burn in BURNS),
        Alert(
            "CoveyShedding",
            (Condition(SHED, ">", "0.05"),),
            "page",
            "{{ $labels.job }}: {{ $value | humanizePercentage }} of the requests are refused for overload",
            "Requests are refused because workers or memory are taken. Callers that try again make it worse. Look for"
            " one caller that grew, add replicas or threads, or limit each principal with --calls-per-second.",
            hold="5m",
        ),
        Alert(
            "CoveyDown",
            (Condition(f'count by (job) (up{{job="{job}"}} == 1) or absent(up{{job="{job}"}} == 1) * 0', "<", "1"),),
            "page",
            f"nothing of the job {job} answers Prometheus",
            "Prometheus reaches neither server nor controller. Callers may be without answers. Look whether the"
            " processes run, and whether Prometheus still has the right addresses, certificate and token.",
            hold="1m",
        ),
        Alert(
            "CoveyTargetDown",
            (Condition(f'up{{job="{job}"}}', "==", "0"),),
            "ticket",
            "{{ $labels.instance }} does not answer Prometheus",
            "One server or controller is not scraped; its counters are missing from the evidence, and rollouts hold."
            " Look at the process, its metrics port, and the token that Prometheus brings.",
            hold="2m",
        ),
        Alert(
            "CoveyServerRestarts",
            (Condition("changes(covey_server_start_time_seconds[15m])", ">=", "3"),),
            "ticket",
            "{{ $labels.instance }} started {{ $value }} times in 15 minutes",
            "The server ends and is started again. While a candidate has weight, the crash-loop breaker takes it away"
            " after two unclean ends. Read the last lines of its log before each start, and the kernel's for OOM.",
        ),
    ]


def _failures(objectives: Objectives, burn: Burn) -> Alert:
    budget = objectives.failure_budget
    return Alert(
        "CoveyErrorBudgetBurn",
        _burning(FAILED, burn, budget, objectives.period_days),
        burn.severity,
        "{{ $labels.job }}: {{ $value | humanizePercentage }} of the requests of the last "
        f"{burn.long_window} failed, {budget * 100:.4g} % may",
        f"{burn.budget_share:.0%} of the {objectives.period_days:g}-day error budget is gone in {burn.long_window}. If"
        " a rollout runs and its candidate fails more than its baseline, abort it; else look at the codes by variant.",
        labels={"window": burn.long_window},
    )


def _slowness(objectives: Objectives, burn: Burn) -> Alert:
    budget = objectives.slow_budget
    return Alert(
        "CoveyLatencyBudgetBurn",
        _burning(SLOW, burn, budget, objectives.period_days),
        burn.severity,
        "{{ $labels.job }}: {{ $value | humanizePercentage }} of the answers of the last "
        f"{burn.long_window} took longer than {objectives.latency_seconds:g} s, {budget * 100:.4g} % may",
        f"{burn.budget_share:.0%} of the {objectives.period_days:g}-day latency budget is gone in {burn.long_window}."
        " If a rollout runs and its candidate is slower than its baseline, abort it; else look for load.",
        labels={"window": burn.long_window},
    )


def _burning(series: str, burn: Burn, budget: float, period_days: float) -> tuple[Condition, ...]:
    limit = f"{burn.rate(period_days) * budget:.6g}"
    windows = (burn.long_window, burn.short_window)
    return tuple(Condition(series + window, ">", limit) for window in windows)
