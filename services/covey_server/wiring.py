"""The rooms of the server put together: started in order, stopped in the reverse order."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING

from covey import __version__
from covey_server import ports_file
from covey_server.access import posture
from covey_server.access.opening import opened_gate
from covey_server.answering.engines import Engines
from covey_server.answering.faults import Faults
from covey_server.answering.learner_calls import LearnerCalls
from covey_server.answering.shadow import Shadow
from covey_server.answering.variants_at_work import VariantsAtWork
from covey_server.config import Address, ServerConfig
from covey_server.facts import ServerFacts
from covey_server.failures import StartError
from covey_server.metrics.counters import NO_VARIANT, RequestBook
from covey_server.metrics.http import open_metrics_port
from covey_server.metrics.page import MetricsPage
from covey_server.metrics.upkeep import Upkeep
from covey_server.ports.addresses import ageing, check_all
from covey_server.ports.data_port import DataPort, worker_pool

if TYPE_CHECKING:
    import grpc

    from covey_server.answering.admission import WorkerPool
    from covey_server.catalogue.catalogue import Catalogue
    from covey_server.datasets.rooms import DatasetRooms
    from covey_server.federation.desk import RegionDesk
    from covey_server.interventions.book import InterventionBook
    from covey_server.jobs.order import RayCluster
    from covey_server.outcomes.exposures import ExposureLedger
    from covey_server.outcomes.outcomes import OutcomeBook
    from covey_server.rollouts.journal import Journal
    from covey_server.split import SplitBoard
    from covey_server.store import Store
    from covey_server.store.following import Follower

_SHADOW_LANE_THREADS = 2
# How often what other servers of a shared store wrote is looked for.
_JOURNAL_LOOK_SECONDS = 0.25
_OUTCOMES_LOOK_SECONDS = 1.0

_log = logging.getLogger("covey_server")


def wall_clock() -> datetime:
    """Now, aware, UTC."""
    return datetime.now(UTC)


class AnalyzerServer:
    """A running server. Made by `start`; every room is reachable for tests and tools in the same process.

    Attributes:
        config: as it was asked to run.
        facts: what GetServerInfo tells.
        data_port: number of the port of AnalyzerService, OutcomeService and ExperimentService.
        control_port: number of the port of RolloutService.
        metrics_port: number of the port of the metrics page.
        gate: who may call what.
        memory_budget: of the calls in flight on the data port.
        store: what lasts of rollouts, variants, models, exposures and outcomes; several servers may share it.
        own_store: what lasts of this server's datasets, jobs and runs; the same store where none is shared.
        catalogue: variants and cohort models.
        board: the traffic split in force.
        journal: the rollouts.
        dataset_rooms: datasets, appends, jobs and learners.
        ledger: who was answered by what.
        outcomes: what they did afterwards.
        interventions: what is done about learners.
        book: the counters.
        federation_desk: the runs in which this server is a region.
    """

    facts: ServerFacts
    store: Store
    own_store: Store
    catalogue: Catalogue
    board: SplitBoard
    journal: Journal
    dataset_rooms: DatasetRooms
    ledger: ExposureLedger
    outcomes: OutcomeBook
    interventions: InterventionBook
    federation_desk: RegionDesk

    def __init__(
        self, config: ServerConfig, clock: Callable[[], datetime], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.config = config
        self.clock = clock
        self._monotonic = monotonic
        self.start_time = clock()
        self.book = RequestBook()
        self.data_port = self.control_port = self.metrics_port = 0
        self._rooms = ExitStack()
        try:
            self._start()
        except BaseException:
            self._rooms.close()
            raise

    def stop(self) -> None:
        """Drain: NOT_SERVING, no new calls, finish those in flight, store what is pending, mark a clean end."""
        self._rooms.close()

    def welcome(self) -> str:
        """For people: where to find what, and who may use it."""
        config = self.config
        places = (
            ("data", config.listen.host, self.data_port),
            ("control", config.control_listen.host, self.control_port),
            ("metrics", config.metrics_listen.host, self.metrics_port),
        )
        listening = ", ".join(f"{name} {Address(host, port)}" for name, host, port in places)
        return f"covey {__version__} serves: {listening} (stable: {self.catalogue.stable()})\n{posture.words(config)}"

    def _start(self) -> None:
        config = self.config
        posture.check(config)
        self.gate, self.certificates = opened_gate(config, self.clock)
        check_all(config)
        ports_file.forget(config.ports_file)
        self._open_store()
        self._open_data_port()
        self._open_control_port()
        self._open_metrics_port()
        self._health.serving()
        self._write_ports()
        self._rooms.callback(self._health.draining)
        _log.info(
            "serving",
            extra={
                "version": __version__,
                "data_port": self.data_port,
                "control_port": self.control_port,
                "metrics_port": self.metrics_port,
                "stable_variant": self.catalogue.stable(),
            },
        )

    def _grpc_credentials(self) -> grpc.ServerCredentials | None:
        return None if self.certificates is None else self.certificates.grpc_credentials()

    def _open_store(self) -> None:
        # Imported here, as the store's library takes as long to import as everything else together; and before the
        # store is opened, as rooms declare their tables when they are imported.
        from covey_server.catalogue.catalogue import Catalogue
        from covey_server.datasets.rooms import open_dataset_rooms
        from covey_server.interventions.book import InterventionBook
        from covey_server.outcomes.exposures import ExposureLedger
        from covey_server.outcomes.outcomes import OutcomeBook
        from covey_server.rollouts import breaker  # noqa: F401
        from covey_server.rollouts.journal import Journal
        from covey_server.rollouts.store_watch import StoreWatch
        from covey_server.split import SplitBoard
        from covey_server.store import open_stores
        from covey_server.store.following import Follower
        from covey_server.store.identity import store_id

        self.store, self.own_store = open_stores(
            self.config.data_directory, self.config.store_url, ballast_bytes=self.config.ballast_kilobytes << 10
        )
        self._rooms.callback(self.own_store.close)
        self._rooms.callback(self.store.close)
        self.catalogue = Catalogue(self.store, self.clock)
        self.catalogue.ensure_defaults(self.config.stable)
        self.board = SplitBoard(self._monotonic)
        self.journal = Journal(self.store, self.board, self.catalogue, self.clock, monotonic=self._monotonic)
        self.journal.load()
        self._rooms.callback(self.journal.zero_ahead.stop)
        self._store_watch = StoreWatch(self.store, self.journal.keeper)
        self._rooms.callback(self._store_watch.stop)
        self._watch_for_crash_loops()
        self.ledger = ExposureLedger(self.store, self.clock)
        self._rooms.callback(self.ledger.stop)
        self.outcomes = OutcomeBook(self.store, self.ledger, self.clock)
        self.interventions = InterventionBook(self.store, self.clock)
        self.dataset_rooms = open_dataset_rooms(
            self.own_store,
            self.catalogue,
            self.ledger,
            self.outcomes,
            self.clock,
            state_bytes=self.config.trait_state_megabytes << 20,
            model_suffix=f"-{store_id(self.own_store)}" if self.store.is_shared else "",
            cluster=self._ray_cluster(),
            interventions=self.interventions,
        )
        self._rooms.callback(self.dataset_rooms.stop)
        self._followers: tuple[Follower, ...] = ()
        if self.store.is_shared:
            self._followers = (
                Follower("journal", self.journal.follow, _JOURNAL_LOOK_SECONDS),
                Follower("outcomes", self.outcomes.follow, _OUTCOMES_LOOK_SECONDS),
            )
        for follower in self._followers:
            self._rooms.callback(follower.stop)

    def _ray_cluster(self) -> RayCluster | None:
        from covey_server.jobs.order import RayCluster
        from covey_server.store.identity import store_id

        config = self.config
        if not config.ray_address:
            return None
        # Several servers may be told of one folder that a cluster sees.
        folder = (config.ray_folder or config.data_directory) / f"ray-{store_id(self.own_store)}"
        return RayCluster(None if config.ray_address == "local" else config.ray_address, str(folder.absolute()))

    def _watch_for_crash_loops(self) -> None:
        from covey_server.rollouts.breaker import Breaker

        breaker = Breaker(self.own_store, self.clock)
        if breaker.opening(self.journal.running_candidate()):
            _log.error("the last two runs ended uncleanly while a candidate had weight; its weight is set to 0")
            self.journal.crash_loop()
        self._rooms.callback(breaker.closing)

    def _open_data_port(self) -> None:
        from covey_server.experiments.service import ExperimentServicer
        from covey_server.federation.rooms import open_federation
        from covey_server.outcomes.service import OutcomeServicer
        from covey_server.ports.analyzer_service import AnalyzerServicer
        from covey_server.studies.process import StudyProcesses
        from covey_server.studies.service import open_studies

        config = self.config
        pool = worker_pool(config, self.book)
        # Before the port, so that engines and shadow stop after it: calls in flight still need them.
        learner_calls = self._learner_calls(pool)
        port = DataPort(config, self.book, pool, self.gate, self._grpc_credentials(), self._only_variant)
        self._rooms.callback(port.stop, config.drain_grace_seconds)
        self.data_port = port.port
        self.memory_budget = port.budget
        self._health = port.health
        self.facts = _facts(config, port.port, self.start_time)
        analyzer = AnalyzerServicer(
            learner_calls=learner_calls,
            dataset_rooms=self.dataset_rooms,
            board=self.board,
            catalogue=self.catalogue,
            facts=self.facts,
            clock=self.clock,
        )
        processes = StudyProcesses()
        experiments = ExperimentServicer(self.outcomes, self.board, self._share_of, port.budget, processes)
        studies = open_studies(
            self.dataset_rooms.datasets, self.catalogue, config.data_directory, processes, self.interventions
        )
        federation, self.federation_desk = open_federation(
            self.dataset_rooms.datasets, self.catalogue, config.data_directory, self.clock
        )
        port.serve(analyzer, OutcomeServicer(self.outcomes), experiments, *studies, federation)
        self._rooms.callback(self.federation_desk.stop)
        # A study that nobody can be answered with any more is not waited for.
        self._rooms.callback(processes.stop)
        # Append streams and watchers last until told: they end before the port waits for its calls.
        self._rooms.callback(self.dataset_rooms.stop)

    def _only_variant(self) -> str:
        """The variant that answers everybody; a split asks who it is."""
        return NO_VARIANT if self.board.current(self.clock()) is not None else self.catalogue.stable()

    def _share_of(self, rollout: str, phase: str) -> float:
        """The candidate's share of a phase by the rollout's spec."""
        return next((p.traffic_share for p in self.journal.state(rollout).plan.spec.phases if p.name == phase), 0.0)

    def _learner_calls(self, pool: WorkerPool) -> LearnerCalls:
        config = self.config
        engines = Engines(self.catalogue)
        faults = Faults(config.fault_plan, Random(config.fault_seed)) if config.fault_plan else None  # noqa: S311
        at_work = VariantsAtWork(engines, config.threads, faults)
        shadows_at_work = VariantsAtWork(engines, _SHADOW_LANE_THREADS, faults, purpose="shadow of ")
        shadow = Shadow(
            shadows_at_work,
            self.book,
            Random(),  # noqa: S311 - draws a sample
            config.call_deadline_seconds,
            is_crowded=lambda: pool.waiting_count > 0,
        )
        for room in (at_work, shadows_at_work, shadow):
            self._rooms.callback(room.stop)
        if faults is not None:
            self._rooms.callback(faults.release)
        return LearnerCalls(
            board=self.board,
            catalogue=self.catalogue,
            at_work=at_work,
            histories=self.dataset_rooms.datasets,
            ledger=self.ledger,
            shadow=shadow,
            book=self.book,
            deadline_seconds=config.call_deadline_seconds,
            clock=self.clock,
        )

    def _open_control_port(self) -> None:
        from covey_server.ports.control_port import PortError, start_control_port

        config = self.config
        shared = config.shared_control_listen
        try:
            port = start_control_port(
                str(config.control_listen),
                self.journal,
                self.gate,
                self._grpc_credentials(),
                shared_address=None if shared is None else str(shared),
                options=ageing(config.connection_age_seconds),
            )
        except PortError as error:
            raise StartError(f"--control-listen: {error}") from error
        self._rooms.callback(port.stop, self.config.drain_grace_seconds)
        self.control_port = port.port

    def _upkeep(self) -> Upkeep:
        from covey_server.rollouts.journal_splits import has_started

        shared = {"datasets": self.own_store} if self.store.is_shared else {}
        return Upkeep(
            stores={"journal": self.store, **shared},
            ballast=self.own_store.ballast,
            watch=self._store_watch,
            followers=self._followers,
            active=self.journal.active,
            has_started=has_started,
            certificates=self.certificates,
        )

    def _open_metrics_port(self) -> None:
        page = MetricsPage(
            book=self.book,
            board=self.board,
            catalogue=self.catalogue,
            ledger=self.ledger,
            outcomes=self.outcomes,
            facts=self.facts,
            upkeep=self._upkeep(),
            clock=self.clock,
        )
        address = self.config.metrics_listen
        try:
            server = open_metrics_port(
                address, page.text, lambda: self._health.is_serving, self.gate, self.certificates
            )
        except OSError as error:
            raise StartError(f"--metrics-listen {address}: {error.strerror}; choose another address") from error
        self._rooms.callback(server.stop)
        self.metrics_port = server.port

    def _write_ports(self) -> None:
        path = self.config.ports_file
        if path is not None:
            ports = {"data": self.data_port, "control": self.control_port, "metrics": self.metrics_port}
            ports_file.write(path, ports)
            self._rooms.callback(ports_file.forget, path)


def _facts(config: ServerConfig, data_port: int, start_time: datetime) -> ServerFacts:
    from covey import _core
    from covey_server.store.migrations import NEWEST_VERSION

    try:
        active_isa = _core.active_isa()
    except ValueError as error:  # COVEY_ISA names what this machine does not have
        raise StartError(f"COVEY_ISA: {error}") from error
    return ServerFacts(
        replica=config.replica_name(data_port),
        start_time=start_time,
        faults_enabled=config.faults_enabled,
        active_isa=active_isa,
        available_isas=tuple(_core.available_isas()),
        newest_tables_version=NEWEST_VERSION,
    )
