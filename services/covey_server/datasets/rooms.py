"""Datasets, appends, jobs and learners, which belong together: opened and stopped as one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from threading import Thread
from typing import TYPE_CHECKING

from covey_server.datasets.appends import Appends
from covey_server.datasets.datasets import Datasets
from covey_server.datasets.learners import Learners
from covey_server.datasets.states import DEFAULT_STATE_BYTES, TraitStates
from covey_server.jobs.jobs import Jobs

if TYPE_CHECKING:
    from covey_server.catalogue.catalogue import Catalogue
    from covey_server.interventions.book import InterventionBook
    from covey_server.jobs.order import RayCluster
    from covey_server.outcomes.exposures import ExposureLedger
    from covey_server.outcomes.outcomes import OutcomeBook
    from covey_server.store import Store


@dataclass(frozen=True, slots=True)
class DatasetRooms:
    """What the mixins `DatasetMethods` and `JobMethods` work with.

    Attributes:
        datasets: stored events.
        appends: live append streams.
        jobs: discoveries.
        learners: cohort lookup and deletion.
        states: what answers cohort lookups without reading the events again.
    """

    datasets: Datasets
    appends: Appends
    jobs: Jobs
    learners: Learners
    states: TraitStates

    def stop(self) -> None:
        """End append streams and the job at work; both go on after the next start. Call it before the port drains."""
        self.appends.stop()
        self.jobs.stop()
        self.states.stop()


def open_dataset_rooms(
    store: Store,
    catalogue: Catalogue,
    ledger: ExposureLedger,
    outcomes: OutcomeBook,
    clock: Callable[[], datetime],
    job_threads: int | None = None,
    state_bytes: int = DEFAULT_STATE_BYTES,
    model_suffix: str = "",
    cluster: RayCluster | None = None,
    interventions: InterventionBook | None = None,
) -> DatasetRooms:
    """Open the rooms; jobs that were unfinished when the server went down begin to run again.

    Files are checked in the background; damage is logged then, and told to whoever asks for what is damaged.

    Args:
        store: open; missing tables of these rooms are made.
        catalogue: of variants and cohort models.
        ledger: exposures, for deletions.
        outcomes: for deletions.
        clock: the time, aware.
        job_threads: of the native engine in a job; by default one per processor but one.
        state_bytes: of memory for trait states.
        model_suffix: of the names of models found here; for a catalogue that several servers share.
        cluster: of Ray, with a folder of this server's own.
        interventions: for deletions.
    """
    store.create_all()
    datasets = Datasets(store, clock)
    states = TraitStates(store, datasets, state_bytes)
    Thread(target=datasets.check_files, name="dataset-check", daemon=True).start()
    return DatasetRooms(
        datasets=datasets,
        appends=Appends(store, datasets),
        jobs=Jobs(store, catalogue, datasets, clock, threads=job_threads, model_suffix=model_suffix, cluster=cluster),
        learners=Learners(store, catalogue, datasets, ledger, outcomes, clock, interventions),
        states=states,
    )
