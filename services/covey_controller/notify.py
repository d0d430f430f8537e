"""Tells people what happened: every transition once, to the log and to a webhook."""

from __future__ import annotations

import http.client
import json
import logging
import queue
import threading
import urllib.request
from collections.abc import Iterable

from covey.v1 import journal_pb2, rollout_spec_pb2

_log = logging.getLogger("covey_controller")
_QUIET = frozenset({"tick", "checkpoint"})
_PAGING = frozenset({"held", "rollback_started", "incident_reported"})
_POST_SECONDS = 5.0
_QUEUE_LENGTH = 256


def describe(entry: journal_pb2.Entry) -> str:
    """One sentence for a transition."""
    kind = entry.WhichOneof("payload") or "entry"
    payload = getattr(entry, kind, None)
    phase = getattr(payload, "phase", "")
    words = [kind.replace("_", " "), f"phase {phase}" if phase else ""]
    if kind == "phase_entered":
        words.append(f"candidate at {entry.phase_entered.candidate_weight_bp / 100:g} %")
    if kind == "approval_awaited":
        words.append(f"missing: {', '.join(entry.approval_awaited.missing_roles)}")
    if kind == "finished":
        name = journal_pb2.RolloutFinished.Outcome.Name(entry.finished.outcome)
        words.append(name.removeprefix("OUTCOME_"))
    words.append(getattr(payload, "explanation", ""))
    words.append(entry.reason)
    return ": ".join(word for word in words if word)


class Notifier:
    """Logs transitions and posts them; a slow or dead webhook delays nobody.

    A hold or a rollback is logged at level ERROR with the people on call: that is the page.
    """

    def __init__(self, webhook_url: str | None = None) -> None:
        self._told: dict[str, int] = {}
        self._webhook_url = webhook_url
        self._queue: queue.Queue[dict[str, object]] = queue.Queue(_QUEUE_LENGTH)
        if webhook_url:
            threading.Thread(target=self._post_all, name="covey-webhook", daemon=True).start()

    def past(self, rollout: str, sequence: int) -> None:
        """Entries up to this one are known; they are not told again by a controller that starts."""
        self._told[rollout] = max(sequence, self._told.get(rollout, 0))

    def tell(self, rollout: str, entries: Iterable[journal_pb2.Entry], on_call: rollout_spec_pb2.OnCall) -> None:
        """Tells the transitions among new entries."""
        for entry in entries:
            if entry.sequence <= self._told.get(rollout, 0):
                continue
            self._told[rollout] = entry.sequence
            kind = entry.WhichOneof("payload") or "entry"
            if kind in _QUIET:
                continue
            page = kind in _PAGING
            fields: dict[str, object] = {
                "rollout": rollout,
                "sequence": entry.sequence,
                "event": kind,
                "actor": entry.actor,
                "page": page,
            }
            if page:
                fields["on_call"] = [on_call.primary, on_call.secondary, on_call.escalation]
            text = describe(entry)
            _log.log(logging.ERROR if page else logging.INFO, text, extra=fields)
            self._enqueue(fields | {"text": text})

    def _enqueue(self, fields: dict[str, object]) -> None:
        if not self._webhook_url:
            return
        try:
            self._queue.put_nowait(fields)
        except queue.Full:
            _log.warning("webhook is too slow: a notification was dropped", extra={"event": fields["event"]})

    def _post_all(self) -> None:
        while True:
            fields = self._queue.get()
            request = urllib.request.Request(  # noqa: S310 - the operator's own URL
                str(self._webhook_url),
                data=json.dumps(fields).encode(),
                headers={"Content-Type": "application/json"},
                method="POST",
            )
            try:
                with urllib.request.urlopen(request, timeout=_POST_SECONDS):  # noqa: S310
                    pass
            except (OSError, ValueError, http.client.HTTPException) as error:
                _log.warning("webhook failed: %s", error, extra={"event": fields["event"]})
