"""Clients of xDS as routers: the controller's own control plane tells them the weights and hears who took them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from covey.rollout.traffic import addresses
from covey.v1.rollout_spec_pb2 import RolloutSpec
from covey_controller.traffic.actuator import RouterReading, shows
from covey_controller.traffic.setting import Setting, next_setting
from covey_controller.traffic.xds_resources import Snapshot
from covey_controller.traffic.xds_server import XdsServer

_log = logging.getLogger("covey_controller")


class Xds:
    """The split of one rollout on a control plane that outlives it.

    The plane belongs to this process alone and shows what the journal says, so it follows the journal without a lease
    too: clients that are connected to a controller in waiting are not left behind.

    Args:
        server: the control plane.
        spec: with defaults.
    """

    is_shared = False

    def __init__(self, server: XdsServer, spec: RolloutSpec) -> None:
        self._server = server
        self._service = spec.traffic.xds.service
        self._baseline = addresses(spec.baseline)
        self._candidate = addresses(spec.candidate)

    def keep(self, epoch: int, weight_bp: int) -> Sequence[RouterReading]:
        """See `Actuator.keep`. What is read back is what clients have taken (ACK), not what they were sent."""
        before = self._server.published
        wanted = next_setting(Setting() if before is None else before.setting, epoch, weight_bp)
        setting = wanted or (before.setting if before else Setting(epoch, 0, weight_bp))
        snapshot = Snapshot(self._service, setting, self._baseline, self._candidate)
        if before is None or snapshot != before:
            if wanted is None:  # another rollout's endpoints at the same weight
                setting = Setting(setting.epoch, setting.change + 1, weight_bp)
                snapshot = Snapshot(self._service, setting, self._baseline, self._candidate)
            self._server.publish(snapshot)
            _log.info("weight published", extra={"version": snapshot.version, "weight_bp": weight_bp})
        name = f"xds {self._server.address}"
        return [(name, shows(name, self._server.weight_taken(), self._server.start_time_seconds))]

    def close(self) -> None:
        """The plane goes on with this split until the next rollout's."""
