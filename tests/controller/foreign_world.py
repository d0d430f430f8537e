"""The journal keeper in this process under virtual time, two real echos, and a real router between real calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc

from covey.v1.rollout_spec_pb2 import RolloutSpec
from covey_controller.client import ControlClient, open_channel
from covey_controller.config import Config
from covey_controller.exporter import Exporter
from covey_controller.loop import Loop
from covey_controller.notify import Notifier

from .echo import Echo, say
from .world import NAME, World


class ForeignWorld(World):
    """As `World`, but its traffic goes to the echos through whatever listens at `address`."""

    def __init__(self, directory: Path, echos: tuple[Echo, Echo], address: str) -> None:
        super().__init__(directory)
        self.baseline, self.candidate = echos
        self.address = address
        self.calls_per_pass = 60
        self._callers = grpc.insecure_channel(address)
        self._number = 0

    def close(self) -> None:
        self._callers.close()
        super().close()

    def traffic(self) -> None:
        """So many learners, none of them twice."""
        first, self._number = self._number, self._number + self.calls_per_pass
        say(self._callers, [f"learner-{number}" for number in range(first, self._number)])

    def start(self, spec: RolloutSpec) -> None:
        """Creates and starts the rollout."""
        self.client.create_rollout(NAME, spec)
        self.client.start_rollout(NAME)

    @contextmanager
    def driver(
        self, holder: str = "one", change: Callable[[Loop], None] = lambda loop: None, xds: str | None = None
    ) -> Iterator[Loop]:
        """A controller of the echo, not yet running."""
        config = Config(
            control_address=self.control,
            replicas=(),
            target="echo",
            holder=holder,
            poll_seconds=1.0,
            scrape=self.scrape,
            xds_address=xds,
        )
        with open_channel(self.control) as channel:
            loop = Loop(config, ControlClient(channel, actor=holder, call_seconds=10.0), self, Exporter(), Notifier())
            change(loop)
            try:
                yield loop
            finally:
                loop.close()
