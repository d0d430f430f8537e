"""What a rollout is driven with: who reads its evidence, who probes it, who moves its traffic."""

from __future__ import annotations

from dataclasses import dataclass

from covey.rollout.traffic import is_foreign
from covey.v1.rollout_spec_pb2 import RolloutSpec
from covey_controller.config import Config
from covey_controller.exporter import Exporter
from covey_controller.probes import Prober, health_probes, learner_probes
from covey_controller.scraper import Scraper
from covey_controller.sources import OwnPages, Source, source_of
from covey_controller.traffic.actuator import Actuator, OwnSplit
from covey_controller.traffic.haproxy import Haproxy


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
            haproxy = spec.traffic.haproxy
            return Haproxy(haproxy.routers, target=spec.target, header=haproxy.header)
        return OwnSplit()

    def close(self) -> None:
        """Ends what all rollouts share."""
        self._scraper.close()
