"""What does not change while a server lives."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What GetServerInfo tells besides the catalogue and the split.

    Attributes:
        replica: names this server on the metrics page and in the journal.
        start_time: of the process, aware.
        faults_enabled: whether it was started with `--enable-faults`.
        active_isa: instruction set of the kernels in use.
        available_isas: those this machine could use.
        newest_tables_version: of the store, that this code knows.
    """

    replica: str
    start_time: datetime
    faults_enabled: bool
    active_isa: str
    available_isas: tuple[str, ...]
    newest_tables_version: int
