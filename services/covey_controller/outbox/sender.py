"""Tells one sink what it has not been told, at least once and in order; it holds no state that matters."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable
from random import Random

from covey.client import Retry
from covey.webhook import SinkError
from covey_controller.client import ControlClient, ControlError, LeaseError
from covey_controller.outbox.message import Message
from covey_controller.outbox.sinks import Sink

POLL_SECONDS = 1.0
FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 60.0
MOST_REFUSALS = 5
"""A message that its sink refuses for good this often is given up, so that those behind it are told."""

_log = logging.getLogger("covey_controller")


class Sender:
    """One sink's thread. A sink that is dead or slow delays nobody but itself.

    The cursor is on the server: a message is told, then the cursor moves. Whoever dies in between leaves a message that
    is told again under the same dedupe key.

    Args:
        sink: who is told.
        client: the control port.
        target: whose rollouts.
        epoch: of the lease in force; None while another controller drives, which then tells.
        random: chance for the jitter of retries.
        observe: counts (sink, result).
        untold: is told since when (Unix seconds) the sink waits for a transition, or 0.
    """

    def __init__(
        self,
        sink: Sink,
        client: ControlClient,
        target: str,
        epoch: Callable[[], int | None],
        random: Random,
        observe: Callable[[str, str], None] = lambda _sink, _result: None,
        untold: Callable[[str, float], None] = lambda _sink, _oldest: None,
    ) -> None:
        self._sink = sink
        self._client = client
        self._target = target
        self._epoch = epoch
        self._backoff = Retry(FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS, uniform=random.random)
        self._observe = observe
        self._untold = untold
        self._failures = 0
        self._refusals: dict[str, int] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"covey-{sink.name}", daemon=True)

    def start(self) -> None:
        """Begins to tell."""
        self._thread.start()

    def stop(self, wait_seconds: float = 1.0) -> None:
        """Ends after the message in hand; a sink that hangs is not waited for longer than that."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(wait_seconds)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                seconds = self.pass_once()
            except Exception:  # whatever a sink raises, the next message may pass
                _log.exception("notification failed", extra={"sink": self._sink.name})
                seconds = self._back_off()
            self._stopping.wait(seconds)

    def pass_once(self) -> float:
        """Tells what there is to tell.

        Returns:
            Seconds until the next pass.
        """
        epoch = self._epoch()
        if epoch is None:
            self._untold(self._sink.name, 0.0)
            return POLL_SECONDS
        try:
            notes = self._client.pull_notifications(self._sink.name, self._target, epoch)
            waiting = [note.entry.time.ToMicroseconds() / 1e6 for note in notes]
            self._untold(self._sink.name, min(waiting, default=0.0))
            for note in notes:
                if self._stopping.is_set():
                    return 0.0
                if not self._told(Message.of(note)):
                    return self._back_off()
                self._client.advance_notifications(
                    self._sink.name, note.rollout, note.entry.sequence, epoch, str(uuid.uuid4())
                )
                self._failures = 0
        except LeaseError:
            return POLL_SECONDS
        except ControlError as error:
            _log.warning("notifications wait for the server: %s", error, extra={"sink": self._sink.name})
            return self._back_off()
        return 0.0 if notes else POLL_SECONDS

    def _told(self, message: Message) -> bool:
        """Whether the cursor may move on: the sink took the message, or refused it for good often enough."""
        extra = {"sink": self._sink.name, "dedupe_key": message.dedupe_key}
        try:
            self._sink.send(message)
        except SinkError as error:
            self._observe(self._sink.name, "failed")
            refusals = self._refusals.get(message.dedupe_key, 0) + error.is_permanent
            if refusals >= MOST_REFUSALS:
                self._refusals.pop(message.dedupe_key, None)
                self._observe(self._sink.name, "given_up")
                _log.error("a notification is given up, its sink refuses it: %s", error, extra=extra)
                return True
            self._refusals = {message.dedupe_key: refusals}
            _log.warning("a notification was not taken: %s", error, extra=extra)
            return False
        self._refusals.clear()
        self._observe(self._sink.name, "told")
        return True

    def _back_off(self) -> float:
        """Twice as long after every failure up to a minute, of which chance takes up to a half."""
        seconds = self._backoff.delay_seconds(self._failures, None)
        self._failures += 1
        return seconds
