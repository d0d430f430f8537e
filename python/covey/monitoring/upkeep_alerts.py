"""Alerts on what a server needs: its store, space, certificates; and the one that always fires."""

from __future__ import annotations

from covey.monitoring import expressions
from covey.monitoring.alerts import Alert, Condition

_DAY_SECONDS = 86_400


def upkeep_alerts() -> list[Alert]:
    """By how soon somebody must come."""
    return [
        Alert(
            "CoveyStoreNotWritable",
            (Condition("covey_store_unwritable_seconds", ">", "20"),),
            "page",
            "{{ $labels.instance }}: the {{ $labels.store }} store was not written for {{ $value | humanizeDuration }}",
            "Writes fail or hang. Nothing advances; a rollback is in force at once and recorded when it can be. Free"
            " space, or mend the disk or the database; the next write ends the alert.",
        ),
        Alert(
            "CoveyStoreNotReadable",
            (Condition("covey_store_unread_seconds", ">", "5"),),
            "page",
            "{{ $labels.instance }}: the store was not read for {{ $value | humanizeDuration }}; the baseline serves"
            " everybody",
            "The server does not know what the journal says, so the candidate has no traffic here. Mend the disk or the"
            " database; the journal's split holds again within a second.",
        ),
        Alert(
            "CoveyBallastMissing",
            (Condition("covey_store_ballast_bytes", "<", "covey_store_ballast_wanted_bytes"),),
            "page",
            "{{ $labels.instance }}: the disk is full, and only rollbacks are recorded",
            "The space that was set aside is in use: thirty rollbacks fit, nothing else is written. Free space on the"
            " file system of the data directory; the next write sets it aside again.",
            hold="1m",
        ),
        Alert(
            "CoveyStoreFollowedLate",
            (Condition("covey_store_unfollowed_seconds", ">", "10"),),
            "page",
            "{{ $labels.instance }}: what other servers wrote ({{ $labels.subject }}) was last taken over"
            " {{ $value | humanizeDuration }} ago",
            "This server does not hear of weights and aborts that others record. Look at its connection to the"
            " database; if it cannot be mended soon, take it out of the load balancer.",
        ),
        _certificates(14, "ticket"),
        _certificates(2, "page"),
        Alert(
            "CoveyWatchdog",
            (Condition("vector(1)", ">", "0"),),
            "none",
            "alerts are evaluated and sent",
            "Always fires. Send it to something that calls when it stops: then Prometheus, Alertmanager or the way"
            " between them is broken, and no other alert would arrive.",
        ),
    ]


def _certificates(days: int, severity: str) -> Alert:
    return Alert(
        "CoveyCertificateExpiring",
        (Condition(expressions.CERTIFICATE_LEFT, "<", str(days * _DAY_SECONDS)),),
        severity,
        "{{ $labels.instance }}: the {{ $labels.use }} certificate ends in {{ $value | humanizeDuration }}",
        "Callers refuse an expired certificate. Replace the files; they are read again without a restart, and"
        " connections that stand are not cut.",
        labels={"within": f"{days}d"},
    )
