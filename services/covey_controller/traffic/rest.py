"""Traffic between two rollouts: routers stay where the last one left them, also across their restarts and ours."""

from __future__ import annotations

from collections.abc import Callable

from covey.rollout.spec import with_defaults
from covey.rollout.traffic import OWN_TARGET, is_foreign
from covey.v1.rollout_spec_pb2 import RolloutSpec
from covey.v1.rollouts_pb2 import Rollout
from covey_controller.client import ControlClient
from covey_controller.traffic.actuator import Actuator

_EVERYBODY_BP = 10_000


class Rest:
    """Keeps the routers of a target while none of its rollouts is under way.

    Args:
        client: knows the rollouts that are over.
        actuator: gives who moves the traffic of a spec with defaults.
        target: whose routers these are; covey's own split needs nobody.
    """

    def __init__(self, client: ControlClient, actuator: Callable[[RolloutSpec], Actuator], target: str) -> None:
        self._client = client
        self._make = actuator
        self._target = target
        self._is_known = target == OWN_TARGET
        self._last: Rollout | None = None
        self._actuator: Actuator | None = None

    def end(self) -> None:
        """A rollout is under way: its own tools move the traffic, and what comes after it is asked anew."""
        self._is_known = self._target == OWN_TARGET
        self._last = None
        if self._actuator is not None:
            self._actuator.close()
            self._actuator = None

    def keep(self, lease: Callable[[], int | None]) -> int | None:
        """Keeps the routers at what the last rollout ended with; where there was none, leaves them alone.

        Args:
            lease: gives the epoch of the lease, None where another controller has it; asked only where it is needed.

        Returns:
            The epoch under which shared routers were kept; None where there are none.

        Raises:
            ControlError: the control port does not say what the last rollout was.
            StaleEpochError: a router was told something under a later lease.
        """
        if not self._is_known:
            self._last = self._client.last_ended(self._target)
            self._is_known = True
            if self._last is not None and is_foreign(self._last.spec):
                self._actuator = self._make(with_defaults(self._last.spec))
        if self._last is None or self._actuator is None:
            return None
        won = self._last.state == Rollout.STATE_SUCCEEDED and not self._last.spec.dry_run
        epoch = lease() if self._actuator.is_shared else self._last.epoch
        if epoch:
            self._actuator.keep(epoch, _EVERYBODY_BP if won else 0)
        return epoch if self._actuator.is_shared else None
