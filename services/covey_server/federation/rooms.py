"""The federation's rooms put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from covey_server.federation.audit import AnswerLog
from covey_server.federation.desk import RegionDesk
from covey_server.federation.service import FederationServicer

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from covey_server.catalogue.catalogue import Catalogue
    from covey_server.datasets.datasets import Datasets


def open_federation(
    datasets: Datasets, catalogue: Catalogue, data_directory: Path, clock: Callable[[], datetime]
) -> tuple[FederationServicer, RegionDesk]:
    """The service, and the runs at work."""
    log = AnswerLog(data_directory)
    desk = RegionDesk(datasets, log, clock)
    return FederationServicer(desk, log, catalogue), desk
