"""What every actuator promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from covey.v1 import evidence_pb2 as pb
from covey_controller.scrape import AbsenceError, scrape_failed

RouterReading: TypeAlias = tuple[str, pb.ReplicaReading | AbsenceError]
"""A router by name, and the weight that it shows or why it shows none."""


class Actuator(Protocol):
    """Brings a weight of the journal onto the wire.

    Applying is idempotent, so that it can be repeated at every pass: a router that restarted, was reset or lies is
    told again within one pass, and what it shows afterwards is what the journal records.

    Attributes:
        is_shared: whether other controllers write to the same routers, so that only the holder of the lease may.
    """

    is_shared: bool

    def keep(self, epoch: int, weight_bp: int) -> Sequence[RouterReading]:
        """Applies the weight where it is not in force, and reads it back everywhere.

        Args:
            epoch: of the lease in force; a router that has seen a later one refuses.
            weight_bp: the candidate's weight, basis points.

        Raises:
            StaleEpochError: a router has seen a later epoch.
        """
        ...

    def close(self) -> None:
        """Ends what runs in the background; routers stay as they are."""
        ...


class OwnSplit:
    """The service splits its own traffic in the transaction that records the weight: nothing is left to apply.

    Its replicas show the weight on the pages from which their counters are read.
    """

    is_shared = True

    def keep(self, epoch: int, weight_bp: int) -> Sequence[RouterReading]:
        """Nothing to do, and no router to read."""
        return ()

    def close(self) -> None:
        """Nothing runs."""


class NoRouter:
    """Stands for a router that this controller was not given: whatever is asked, the answer is why there is none."""

    is_shared = True

    def __init__(self, name: str, why: str) -> None:
        self._name = name
        self._why = why

    def keep(self, epoch: int, weight_bp: int) -> Sequence[RouterReading]:
        """Nothing is applied, and nothing shown."""
        return [(self._name, scrape_failed(self._why))]

    def close(self) -> None:
        """Nothing runs."""


def shows(
    router: str, weight_bp: int, start_time_seconds: float, reached: pb.ReachedProcesses | None = None
) -> pb.ReplicaReading:
    """What a router shows, as the journal records it."""
    return pb.ReplicaReading(
        replica=router,
        server_start_time_seconds=start_time_seconds,
        candidate_weight_bp=weight_bp,
        reached=reached,
    )
