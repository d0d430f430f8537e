"""Panels of the dashboard: what each shows, in which unit, from which expressions."""

from __future__ import annotations

from dataclasses import dataclass

from covey.monitoring import expressions
from covey.monitoring.objectives import Objectives
from covey.monitoring.recording import FAILED, OBSERVED_SHARE, SHED, SLOW, SPLIT_DEVIATION

JOB = 'job=~"$job"'
ROLLOUT = 'rollout=~"$rollout"'


@dataclass(frozen=True, slots=True)
class Query:
    """One expression of a panel.

    Attributes:
        expression: PromQL; `$job` and `$rollout` are the dashboard's variables.
        legend: name of each series, in Grafana's `{{label}}` form.
    """

    expression: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    Attributes:
        title: above it.
        queries: what it shows.
        unit: of the values, in Grafana's words.
        kind: timeseries, stat or table.
        width: of the 24 columns.
        description: behind its "i".
        limit: value from which on it is red; None: none.
    """

    title: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    description: str = ""
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


def rows(objectives: Objectives) -> list[Row]:
    """The dashboard from top to bottom: what holds now, the rollout, the service, the controller, the servers."""
    return [_now(), _rollout(), _service(objectives), _controller(), _servers()]


def _now() -> Row:
    return Row(
        "Now",
        (
            Panel(
                "Alerts that fire",
                (Query('ALERTS{alertname=~"Covey.*",alertstate="firing"}', "{{alertname}} {{severity}}"),),
                kind="table",
                width=12,
                description="CoveyWatchdog always fires: it tells that alerts are evaluated.",
            ),
            Panel(
                "Rollouts that run",
                (Query(f"covey_rollout_info{{{JOB},{ROLLOUT}}}", "{{rollout}}: {{phase}}"),),
                kind="table",
                width=12,
            ),
        ),
    )


def _rollout() -> Row:
    verdict = f"{{{JOB},{ROLLOUT}}}"
    criterion = f'{{{JOB},{ROLLOUT},role="criterion"}}'
    return Row(
        "Rollout",
        (
            Panel(
                "Candidate's share",
                (
                    Query(f"max by (rollout) (covey_rollout_weight_ratio{verdict})", "{{rollout}} wanted"),
                    Query(f"max by (rollout) ({OBSERVED_SHARE}{verdict})", "{{rollout}} of the phase's learners"),
                ),
                "percentunit",
            ),
            Panel(
                "Deviation of the split",
                (Query(f"max by (rollout) ({SPLIT_DEVIATION}{verdict})", "{{rollout}}"),),
                description="In standard deviations of a binomial; 5 is beyond chance.",
                limit=5,
            ),
            Panel(
                "What the gates say",
                (
                    Query(
                        f"max by (rollout, phase, role, statement, result) (covey_rollout_verdict{verdict})",
                        "{{statement}}: {{result}}",
                    ),
                ),
                kind="table",
            ),
            Panel(
                "Evidence over what is needed",
                (
                    Query(
                        f"max by (rollout, role, statement) (covey_rollout_log_e{verdict}"
                        f" / covey_rollout_log_e_threshold{verdict})",
                        "{{role}} {{statement}}",
                    ),
                ),
                "percentunit",
                description="ln E over the threshold of each statement; 100 % decides it.",
            ),
            Panel(
                "Trials until PASS",
                (
                    Query(
                        f"max by (rollout, statement) (covey_rollout_needed_count{criterion})"
                        f" or max by (rollout, statement) (covey_rollout_log_e{criterion} * 0)",
                        "{{statement}}",
                    ),
                ),
                description="0: decided, or never at this rate.",
            ),
            Panel(
                "Time until PASS",
                (
                    Query(
                        f"max by (rollout, statement) (covey_rollout_eta_seconds{criterion})"
                        f" or max by (rollout, statement) (covey_rollout_log_e{criterion} * 0)",
                        "{{statement}}",
                    ),
                ),
                "s",
                description="0: decided, or never at this rate.",
            ),
            Panel(
                "Alpha spent",
                (
                    Query(
                        "sum by (rollout, role) (max by (rollout, role, statement)"
                        f" (covey_rollout_alpha_spent{verdict}))",
                        "{{role}}",
                    ),
                ),
                "percentunit",
                description="Chance of a wrong decision that the statements of this phase may spend, by role.",
            ),
            Panel(
                "Learners of the phase",
                (
                    Query(
                        f"sum by (variant) (max by (variant, segment) (covey_learners{{{JOB}}}))",
                        "{{variant}}",
                    ),
                ),
            ),
            Panel(
                "Shadow",
                (Query(f"sum by (result) (rate(covey_shadow_total{verdict}[5m]))", "{{result}}"),),
                "reqps",
                description="Answers computed again by the other variant.",
            ),
        ),
    )


def _service(objectives: Objectives) -> Row:
    job = f"{{{JOB}}}"
    edge = objectives.edge
    within = f'sum by (variant) (rate(covey_request_duration_seconds_bucket{{{JOB},le="{edge}"}}[5m]))'
    return Row(
        "Service",
        (
            Panel(
                "Requests",
                (Query(f"sum by (variant) (rate(covey_requests_total{job}[5m]))", "{{variant}}"),),
                "reqps",
            ),
            Panel(
                "Requests by code",
                (Query(f"sum by (code) (rate(covey_requests_total{job}[5m]))", "{{code}}"),),
                "reqps",
            ),
            Panel(
                "Failures",
                (
                    Query(expressions.failed_ratio("5m", "variant", f"{JOB},"), "{{variant}}"),
                    Query(f"{FAILED}1h{job}", "all, last hour"),
                ),
                "percentunit",
                description="What error_rate counts: failures and missing answers, not what is refused for overload.",
                limit=objectives.failure_budget,
            ),
            Panel(
                "p99",
                (Query(expressions.quantile(0.99, "5m", JOB), "{{variant}}"),),
                "s",
                limit=objectives.latency_seconds,
            ),
            Panel("p50", (Query(expressions.quantile(0.5, "5m", JOB), "{{variant}}"),), "s"),
            Panel(
                f"Slower than {objectives.latency_seconds:g} s",
                (
                    Query(
                        f"1 - {within} / sum by (variant) (rate(covey_request_duration_seconds_count{job}[5m]))",
                        "{{variant}}",
                    ),
                    Query(f"{SLOW}1h{job}", "all, last hour"),
                ),
                "percentunit",
                description=f"By the edge of the histogram at {edge} s.",
                limit=objectives.slow_budget,
            ),
            Panel("Refused for overload", (Query(f"{SHED}{job}", "{{job}}"),), "percentunit", limit=0.05),
            Panel(
                "Error budget left",
                (
                    Query(
                        f"1 - {FAILED}3d{job} * {3 / objectives.period_days:.6g} / {objectives.failure_budget:.6g}",
                        "failures",
                    ),
                    Query(
                        f"1 - {SLOW}3d{job} * {3 / objectives.period_days:.6g} / {objectives.slow_budget:.6g}",
                        "latency",
                    ),
                ),
                "percentunit",
                description=f"Of {objectives.period_days:g} days, after what the last three days burnt.",
            ),
            Panel(
                "Slower than a limit of the rollout",
                (
                    Query(
                        f"sum by (variant, limit_seconds) (rate(covey_requests_over_limit_total{job}[5m]))",
                        "{{variant}} {{limit_seconds}} s",
                    ),
                ),
                "reqps",
            ),
        ),
    )


def _controller() -> Row:
    job = f"{{{JOB}}}"
    return Row(
        "Controller",
        (
            Panel(
                "Time since the last tick",
                (
                    Query(
                        f"time() - max by (rollout) (covey_rollout_last_tick_timestamp_seconds{{{JOB},{ROLLOUT}}})",
                        "{{rollout}}",
                    ),
                ),
                "s",
                description="By the journal: it grows while no controller drives.",
            ),
            Panel("Epoch of the lease", (Query(f"covey_controller_lease_epoch{job}", "{{instance}}"),)),
            Panel(
                "Looks",
                (Query(f"sum by (result) (rate(covey_controller_looks_total{{{JOB},{ROLLOUT}}}[5m]))", "{{result}}"),),
                "ops",
            ),
            Panel(
                "Probes unanswered",
                (
                    Query(
                        "sum by (replica, variant) (rate(covey_controller_probe_total"
                        f'{{{JOB},result="unanswered"}}[5m]))'
                        f" or sum by (replica, variant) (rate(covey_controller_probe_total{job}[5m])) * 0",
                        "{{replica}} {{variant}}",
                    ),
                ),
                "ops",
            ),
            Panel(
                "Missing evidence",
                (
                    Query(
                        f"sum by (replica, type) (increase(covey_controller_absences_total{job}[5m]))"
                        f" or max by (job) (covey_controller_lease_epoch{job} * 0)",
                        "{{replica}} {{type}}",
                    ),
                ),
            ),
            Panel(
                "Transitions wait for a sink",
                (Query(f"({expressions.UNTOLD}) and on (job) covey_controller_lease_epoch{job}", "{{sink}}"),),
                "s",
                limit=300,
            ),
            Panel(
                "Notifications",
                (
                    Query(
                        f"sum by (sink, result) (increase(covey_controller_notifications_total{job}[1h]))",
                        "{{sink}} {{result}}",
                    ),
                ),
            ),
            Panel(
                "Routers that do not show the weight",
                (
                    Query(
                        "sum by (rollout, router) (increase(covey_controller_router_mismatches_total"
                        f"{{{JOB},{ROLLOUT}}}[5m])) or max by (job) (covey_controller_lease_epoch{job} * 0)",
                        "{{rollout}} {{router}}",
                    ),
                ),
                description="Of foreign services only.",
            ),
        ),
    )


def _servers() -> Row:
    job = f"{{{JOB}}}"
    return Row(
        "Servers",
        (
            Panel("Not written for", (Query(f"covey_store_unwritable_seconds{job}", "{{instance}} {{store}}"),), "s"),
            Panel("Not read for", (Query(f"covey_store_unread_seconds{job}", "{{instance}}"),), "s", limit=5),
            Panel(
                "Not followed for",
                (
                    Query(
                        f"covey_store_unfollowed_seconds{job} or covey_store_unread_seconds{job} * 0",
                        "{{instance}} {{subject}}",
                    ),
                ),
                "s",
                description="Of servers that share a store; 0 elsewhere.",
                limit=10,
            ),
            Panel(
                "Ballast set aside",
                (Query(f"covey_store_ballast_bytes{job} / covey_store_ballast_wanted_bytes{job}", "{{instance}}"),),
                "percentunit",
            ),
            Panel(
                "Certificates end in",
                (
                    Query(
                        f"(covey_certificate_not_after_timestamp_seconds{job} - time()) / 86400",
                        "{{instance}} {{use}}",
                    ),
                ),
                "d",
            ),
            Panel(
                "Versions",
                (Query(f"covey_build_info{job}", "{{instance}} {{version}} {{isa}}"),),
                kind="table",
            ),
            Panel(
                "Up",
                (Query(f"up{job}", "{{instance}}"),),
                kind="stat",
                width=12,
            ),
            Panel(
                "Runs for",
                (Query(f"time() - covey_server_start_time_seconds{job}", "{{instance}}"),),
                "s",
                kind="stat",
                width=12,
            ),
        ),
    )
