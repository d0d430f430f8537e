"""Alerts on what drives rollouts: the controller, the split, the evidence, those who are told."""

from __future__ import annotations

from covey.monitoring import expressions
from covey.monitoring.alerts import Alert, Condition
from covey.monitoring.recording import SPLIT_DEVIATION


def rollout_alerts() -> list[Alert]:
    """The dead-man's switch first."""
    return [
        Alert(
            "CoveyControllerSilent",
            (Condition(expressions.TICK_DELAY, ">", "30"),),
            "page",
            "{{ $labels.rollout }}: no controller has looked for {{ $value | humanizeDuration }} longer than it should",
            "Nobody drives this rollout: no trigger is judged and no harm is rolled back. Start a controller or find"
            " out why it cannot commit; until then watch the candidate yourself, or abort.",
            hold="30s",
        ),
        Alert(
            "CoveyLooksFail",
            (Condition(expressions.LOOKS_FAILED, ">", "0.5"),),
            "ticket",
            "{{ $labels.rollout }}: {{ $value | humanizePercentage }} of the controller's looks come to nothing",
            "The controller looks and cannot record what it decides. Its log says why: a server that does not answer, a"
            " decision that the server refuses, or an error of its own.",
            hold="2m",
        ),
        Alert(
            "CoveyEvidenceMissing",
            (Condition("sum by (job, replica, type) (rate(covey_controller_absences_total[2m]))", ">", "0"),),
            "ticket",
            "{{ $labels.replica }}: evidence is missing ({{ $labels.type }})",
            "Pages could not be read or not be believed; the rollout holds and advances no more. The type says what"
            " was wrong with the page; `covey rollout explain` says since when.",
            hold="5m",
        ),
        Alert(
            "CoveyProbesUnanswered",
            (Condition(expressions.PROBES_UNANSWERED, ">", "0.5"),),
            "page",
            "{{ $labels.replica }}: {{ $value | humanizePercentage }} of the probes of {{ $labels.variant }} are"
            " unanswered",
            "The variant does not answer the controller's own questions. A candidate that does not answer is rolled"
            " back by itself; a baseline that does not is an outage.",
            hold="1m",
        ),
        Alert(
            "CoveySplitMismatch",
            (Condition(SPLIT_DEVIATION, ">", "5"),),
            "page",
            "{{ $labels.rollout }}: learners are not split as wanted, {{ $value | humanize }} standard deviations off",
            "The share of learners that the candidate answered is not the wanted one, beyond chance. Comparisons of the"
            " two variants mean nothing until it is known why. Pause the rollout and look at the split.",
            hold="5m",
        ),
        Alert(
            "CoveyReplicasDisagree",
            (
                Condition(
                    "max by (job, rollout) (covey_rollout_weight_ratio)"
                    " - min by (job, rollout) (covey_rollout_weight_ratio)",
                    ">",
                    "0",
                ),
            ),
            "page",
            "{{ $labels.rollout }}: replicas apply weights that differ by {{ $value | humanizePercentage }}",
            "One replica does not apply the weight of the journal: it cannot read the store, or holds a rollback that"
            " is not recorded yet. Look at the store of the replica whose weight is lower.",
            hold="2m",
        ),
        Alert(
            "CoveyRouterMismatch",
            (
                Condition(
                    "sum by (job, rollout, router) (increase(covey_controller_router_mismatches_total[5m]))", ">=", "3"
                ),
            ),
            "page",
            "{{ $labels.router }} does not show the weight of {{ $labels.rollout }}",
            "A router of a foreign service does not show the journal's weight, or nothing, when it is read back. Its"
            " runtime socket may be gone, or somebody else writes to it.",
        ),
        Alert(
            "CoveyOutboxLag",
            (Condition(expressions.UNTOLD, ">", "300"),),
            "page",
            "{{ $labels.sink }} has not been told of a transition for {{ $value | humanizeDuration }}",
            "Transitions wait for a webhook, Alertmanager or apprise that does not take them: whoever should be called"
            " is not. Nothing is lost; they are told in order as soon as the sink takes them.",
        ),
        Alert(
            "CoveyNotificationGivenUp",
            (
                Condition(
                    'sum by (job, sink) (increase(covey_controller_notifications_total{result="given_up"}[1h]))'
                    " or sum by (job, sink) (covey_controller_notification_oldest_timestamp_seconds * 0)",
                    ">",
                    "0",
                ),
            ),
            "ticket",
            "{{ $labels.sink }} refused a transition for good",
            "A sink refused a notification five times as wrong, and those behind it were told instead. The controller's"
            " log has the sink's words; `covey rollout history` has the transition.",
        ),
    ]
