"""What a rollout is driven with: who reads its evidence, who probes it, who moves its traffic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from covey.rollout.traffic import is_foreign
from covey.v1.rollout_spec_pb2 import RolloutSpec
from covey_controller.config import Config
from covey_controller.exporter import Exporter
from covey_controller.failures import ConfigError
from covey_controller.probes import Prober, health_probes, learner_probes
from covey_controller.scraper import Scraper
from covey_controller.sources import OwnPages, Source, source_of
from covey_controller.traffic.actuator import Actuator, NoRouter, OwnSplit
from covey_controller.traffic.haproxy import Haproxy

if TYPE_CHECKING:
    from covey_controller.traffic.xds_server import XdsServer


@dataclass(frozen=True)
class Tools:
    """What one rollout is driven with."""

    source: Source
    prober: Prober
    actuator: Actuator

    def close(self) -> None:
        """Ends every thread; routers stay as they are."""
        self.prober.stop()
        self.source.close()
        self.actuator.close()


class Workplace:
    """Gives each rollout its tools, and keeps those that all of them share."""

    def __init__(self, config: Config, exporter: Exporter) -> None:
        self._config = config
        self._exporter = exporter
        self._scraper = Scraper(config.replicas, config.scrape)
        self._xds = open_xds(config.xds_address) if config.xds_address else None

    def tools(self, rollout: str, spec: RolloutSpec) -> Tools:
        """The tools of a rollout, its probes running; `spec` with defaults."""
        if is_foreign(spec):
            source, probes = source_of(spec, self._config.scrape), health_probes(spec)
        else:
            source = OwnPages(self._scraper, rollout, spec)
            probes = learner_probes(self._config.replicas, (spec.baseline, spec.candidate))
        prober = Prober(
            probes,
            interval_seconds=spec.probe_interval.ToTimedelta().total_seconds(),
            deadline_seconds=self._config.probe_deadline_seconds,
            observe=self._exporter.probe,
        )
        prober.start()
        return Tools(source, prober, self.actuator(spec))

    def actuator(self, spec: RolloutSpec) -> Actuator:
        """Who moves the traffic of a rollout; `spec` with defaults."""
        if spec.traffic.HasField("haproxy"):
            return Haproxy(spec)
        if spec.traffic.HasField("xds"):
            if self._xds is None:
                return NoRouter("xds", "this controller is no control plane; start it with --xds-listen HOST:PORT")
            from covey_controller.traffic.xds import Xds

            return Xds(self._xds, spec)
        return OwnSplit()

    @property
    def xds_address(self) -> str:
        """Where clients of xDS reach this controller; empty where they cannot."""
        return self._xds.address if self._xds else ""

    def close(self) -> None:
        """Ends what all rollouts share."""
        self._scraper.close()
        if self._xds is not None:
            self._xds.close()


def open_xds(address: str) -> XdsServer:
    """A control plane.

    Raises:
        ConfigError: it cannot be had.
    """
    try:
        from covey_controller.traffic.xds_server import XdsPortError, XdsServer
    except ImportError as error:
        raise ConfigError(f"--xds-listen: {error}; pip install 'covey[xds]'") from error
    try:
        return XdsServer(address)
    except XdsPortError as error:
        raise ConfigError(f"--xds-listen: {error}; choose another address") from error
