"""The call behind a confirmed form."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from covey.client import Client
from covey.v1.rollouts_pb2 import Rollout


def call(client: Client, verb: str, rollout: str, form: Mapping[str, str], request_id: str) -> Rollout:
    """Do what the form says; twice the same form does it once.

    Args:
        client: calls as the person.
        verb: of `verbs.VERBS`.
        rollout: its name.
        form: what it is about, and the reason.
        request_id: of the form.

    Raises:
        CallFailed: the server refuses or does not answer.
        ValueError: a field cannot be read.
    """
    reason = form.get("reason", "").strip()
    phase, role = form.get("phase", ""), form.get("role", "")
    match verb:
        case "start":
            return client.start_rollout(rollout, reason=reason, request_id=request_id)
        case "pause":
            return client.pause_rollout(rollout, reason=reason, request_id=request_id)
        case "resume":
            return client.resume_rollout(rollout, reason=reason, request_id=request_id)
        case "promote":
            return client.promote_rollout(rollout, reason=reason, request_id=request_id)
        case "abort":
            return client.abort_rollout(rollout, reason=reason, request_id=request_id)
        case "acknowledge":
            return client.acknowledge_rollout(rollout, reason=reason, request_id=request_id)
        case "approve":
            return client.approve_rollout(
                rollout, phase, role, reason=reason, statement=form.get("statement", ""),
                evidence_digest=form.get("evidence_digest", ""),
                overrides_calendar=bool(form.get("overrides_calendar")), request_id=request_id,
            )  # fmt: skip
        case "deny":
            return client.deny_rollout(rollout, phase, role, reason=reason, request_id=request_id)
        case "revoke":
            return client.revoke_approval(rollout, phase, role, reason=reason, request_id=request_id)
        case "postpone":
            not_before = _time(form.get("not_before", ""))
            return client.postpone_rollout(rollout, phase, not_before, reason=reason, request_id=request_id)
        case "report-incident":
            return client.report_incident(
                rollout, form.get("incident_id", "").strip(), form.get("description", "").strip(),
                critical=bool(form.get("critical")), request_id=request_id,
            )  # fmt: skip
        case "resolve-incident":
            return client.resolve_incident(
                rollout, form.get("incident_id", ""), reason=reason, request_id=request_id
            )  # fmt: skip
    raise ValueError(f"there is no button {verb!r}")


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text[:40]!r} is no date and time; expected such as 2026-01-31T09:00, UTC") from error
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time
