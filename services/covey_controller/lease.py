"""The right to write decisions: taken, kept alive, lost, given back."""

from __future__ import annotations

import logging

from covey_controller.client import ControlClient, ControlError, LeaseError
from covey_controller.clock import Clock

# A controller that died is succeeded after this time at the latest, however fast the ticks are.
_SHORTEST_SECONDS = 3.0
_LONGEST_SECONDS = 300.0
_log = logging.getLogger("covey_controller")


class Lease:
    """One target's lease. `epoch` is None while another controller drives."""

    def __init__(self, client: ControlClient, clock: Clock, *, target: str, holder: str) -> None:
        self._client = client
        self._clock = clock
        self._target = target
        self._holder = holder
        self._renew_at = 0.0
        self.epoch: int | None = None

    def keep(self, tick_seconds: float, *, force: bool = False) -> int | None:
        """Takes the lease or renews it when a third of its time is over, and at every tick (`force`).

        Args:
            tick_seconds: longest time between ticks; the lease outlives three of them, within the server's 5 min.
            force: renews whatever time is left.

        Returns:
            The epoch, or None: stand by.

        Raises:
            ControlError: when the server does not answer; the lease is then neither taken nor given up.
        """
        now = self._clock.monotonic()
        if self.epoch is not None and not force and now < self._renew_at:
            return self.epoch
        seconds = min(max(3 * tick_seconds, _SHORTEST_SECONDS), _LONGEST_SECONDS)
        try:
            epoch = self._client.acquire_lease(self._target, self._holder, seconds)
        except LeaseError as error:
            self.lose(str(error))
            return None
        if epoch != self.epoch:
            _log.info("lease taken", extra={"target": self._target, "epoch": epoch})
        self.epoch = epoch
        self._renew_at = now + seconds / 3
        return epoch

    def lose(self, reason: str) -> None:
        """Notes that another controller drives; said once."""
        if self.epoch is not None or self._renew_at == 0.0:
            _log.warning("standing by: %s", reason, extra={"target": self._target})
        self.epoch = None
        self._renew_at = -1.0

    def release(self) -> None:
        """Gives the lease back so that the next controller need not wait; no answer is no harm."""
        if self.epoch is None:
            return
        try:
            self._client.release_lease(self._target, self._holder)
        except ControlError as error:
            _log.warning("lease not released, it runs out by itself: %s", error, extra={"target": self._target})
        self.epoch = None
