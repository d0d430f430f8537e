"""Discovery on Ray: one machine by default, any cluster by its address."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from covey.distributed.keeper import Loaded, Work
from covey.distributed.pieces import PartedPiece, Piece, grouped_pieces
from covey.distributed.ray_keeper import RayKeeper, newest_of_file, parted
from covey.distributed.source import Source, open_source
from covey.errors import InputError
from covey.events_intake import check_domains
from covey.events_mapping import EventMapping
from covey.instants import instant_to_us
from covey.out_of_core import NotGroupedError, WorkProgress
from covey.out_of_core_budget import MemoryBudget
from covey.out_of_core_plan import newest_by_statistics, row_groups_by_learner
from covey.parameters import TraitParameters, trait_weight_tuple
from covey.parts import Question, discover_in_parts
from covey.parts.questions import Answer, Conclude
from covey.traits import all_later

if TYPE_CHECKING:
    from covey.distributed.result import DistributedCohorts

MOST_RESTARTS = 8
MOST_STARTS = 3
_MOST_PARTS = 128
_PIECES_PER_WORKER = 4
_LEAST_ROWS_PER_PIECE = 1 << 16
_LARGEST_ROW_GROUP = 1 << 20
_LEAST_OBJECT_STORE = 128 << 20
_REACH_SECONDS = 10.0
_REMEDY_FOR_ADDRESS = "check the address and that Ray runs there in the same version (ray status)"


@contextmanager
def discovered(
    place: str | Path,
    mapping: Mapping[str, str] | EventMapping | None = None,
    as_of: datetime | np.datetime64 | int | None = None,
    parameters: TraitParameters | None = None,
    k: int | Literal["auto"] = "auto",
    seed: int = 0,
    trait_weights: Mapping[str, float] | Sequence[float] | None = None,
    address: str | None = None,
    workers: int | None = None,
    memory_bytes: int | None = None,
    rows_per_piece: int | None = None,
    progress: WorkProgress | None = None,
) -> Generator[DistributedCohorts, None, None]:
    """Find the cohorts of Parquet files on Ray: the bits of `traits_of_parquet(...)[0].discover(...)`.

    The workers keep the learners until the context ends.

    Args:
        place: a file or folder that every worker sees, or a URI of pyarrow.fs such as s3://bucket/events.
        mapping: names of foreign columns.
        as_of: instant that ages refer to; the newest event by default.
        parameters: constants of the trait definitions.
        k: number of cohorts, or "auto".
        seed: of every choice.
        trait_weights: see `Traits.discover`.
        address: of a Ray cluster, such as ray://head:10001 or auto; without one Ray is started on this machine.
        workers: processes with one thread each; one per processor of the cluster by default.
        memory_bytes: of all workers and Ray's object store on this machine; half of what is free by default. What
            does not fit goes into files.
        rows_per_piece: work in pieces of about so many rows, whatever the budget.
        progress: called with what is being done, how much of it, and of how many units.

    Raises:
        InputError: as `Traits.discover` and `traits_of_parquet`; without Ray; where a worker dies again and again.
    """
    from covey.distributed.result import DistributedCohorts

    checked, weights = EventMapping.of(mapping), trait_weight_tuple(trait_weights)
    source = open_source(place, checked)
    tell = progress or (lambda what, done, total, unit: None)
    budget = MemoryBudget.available() if memory_bytes is None else MemoryBudget(memory_bytes)
    with connected(address, workers, max(budget.byte_count // 4, _LEAST_OBJECT_STORE)) as ray:
        count = workers or max(int(ray.cluster_resources().get("CPU", 1)), 1)
        share = MemoryBudget(max(budget.byte_count * 3 // 4 // count, MemoryBudget.least))
        rows = max(source.row_count // (_PIECES_PER_WORKER * count), _LEAST_ROWS_PER_PIECE)
        crew = Crew(
            ray=ray,
            source=source,
            parameters=parameters or TraitParameters(),
            trait_weights=weights,
            worker_count=count,
            kept_bytes=(share.byte_count - MemoryBudget.least) // 4,
            rows_per_piece=rows_per_piece or min(share.rows_per_piece, rows),
            tell=tell,
        )
        try:
            crew.load(None if as_of is None else instant_to_us(as_of))
            found = discover_in_parts(
                crew.ask,
                k,
                seed,
                weights,
                crew.parameters,
                progress=lambda what, done, total: tell(what, done, total, ""),
            )
            yield DistributedCohorts(crew, found, crew.concluded())
        finally:
            crew.close()


@contextmanager
def connected(address: str | None, workers: int | None, object_store_bytes: int) -> Generator[Any, None, None]:
    """The module ray, connected: to what this process is connected to already, else to the address, else started here.

    Raises:
        InputError: without Ray, and for an address where none answers.
    """
    # Nobody outside is told that it runs; who wants that says so.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray's own default is 15: workers that wait for everybody else on the machine.
    os.environ.setdefault("RAY_worker_niceness", "0")
    try:
        import ray
    except ImportError:
        raise InputError("Ray is not installed", remedy="install it with pip install 'covey[ray]'") from None
    if ray.is_initialized():
        yield ray
        return
    # What goes wrong is said by errors; that it starts, and how it authenticates, is not news to whoever asked for it.
    logging.getLogger("ray").setLevel(logging.ERROR)
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
    if address is None:
        here = workers or len(os.sched_getaffinity(0))
        options |= {"num_cpus": here, "object_store_memory": object_store_bytes, "include_dashboard": False}
    else:
        _check_reached(address)
    _start(ray, address, options)
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_reached(address: str) -> None:
    """Ray itself waits for minutes for an address where nobody is."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not colon or not port.isdecimal():
        return  # such as auto
    try:
        socket.create_connection((host.strip("[]"), int(port)), _REACH_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"nobody answers there ({error})", source=address, remedy=_REMEDY_FOR_ADDRESS) from None


def _start(ray: Any, address: str | None, options: dict[str, Any]) -> None:
    """Connect, or start Ray here; on a busy machine its daemons may miss their own deadline of 30 seconds."""
    for starts_left in reversed(range(MOST_STARTS if address is None else 1)):
        problem = _problem_of_start(ray, address, options)
        if problem is None:
            return
        if not starts_left:
            remedy = "look into Ray's logs (/tmp/ray/session_latest/logs)"
            if address is not None:
                remedy = _REMEDY_FOR_ADDRESS
            raise InputError(f"Ray does not answer ({problem})", source=address, remedy=remedy)


def _problem_of_start(ray: Any, address: str | None, options: dict[str, Any]) -> str | None:
    try:
        ray.init(address=address or "local", **options)
    except Exception as error:  # Ray's own are plain ones
        ray.shutdown()
        return (str(error).strip().splitlines() or [type(error).__name__])[0]
    return None


@dataclass(slots=True)
class Crew:
    """The workers of one discovery, as the driver sees them.

    Attributes:
        as_of_us: instant that ages refer to, once loaded.
        loaded: what the pieces hold, by number.
        lost_workers: how often a worker was found to be another process than before.
    """

    ray: Any
    source: Source
    parameters: TraitParameters
    trait_weights: tuple[float, ...]
    worker_count: int
    kept_bytes: int
    rows_per_piece: int
    tell: WorkProgress
    as_of_us: int = 0
    loaded: dict[int, Loaded] = field(default_factory=dict)
    lost_workers: int = 0
    _keepers: list[Any] = field(default_factory=list)
    _processes: dict[int, int] = field(default_factory=dict)
    _conclude: Conclude | None = None
    _kept: Any = None  # what workers are made anew from must not go out of scope

    def load(self, as_of_us: int | None) -> None:
        """Deal the events to the workers, who compute the traits.

        Raises:
            InputError: for bad values, and when every event is later than `as_of_us`.
        """
        shared = self.ray.put(self.source)
        expected_us = self._newest(shared) if as_of_us is None else as_of_us
        try:
            newest_us = self._load_grouped(expected_us)
            if as_of_us is None and newest_us != expected_us:  # the statistics were wrong
                newest_us = self._load_grouped(expected_us := newest_us)
        except NotGroupedError:
            pieces, newest_us = self._part(shared)
            expected_us = newest_us if as_of_us is None else as_of_us
            self._keep(pieces, expected_us)
        self.as_of_us = expected_us
        check_domains({name for each in self.loaded.values() for name in each.domains}, self.source.mapping)
        if not self.learner_count:
            raise all_later(self.as_of_us)

    @property
    def learner_count(self) -> int:
        """Of all pieces."""
        return sum(each.learner_count for each in self.loaded.values())

    def ask(self, question: Question) -> list[Answer]:
        """Put a question to all workers."""
        if isinstance(question, Conclude):
            self._conclude = question
        return list(self._each((keeper, keeper.answer.remote(question)) for keeper in self._keepers))

    def concluded(self) -> Conclude:
        """What the workers were asked at the end; they can be asked it again."""
        assert self._conclude is not None
        return self._conclude

    def of_pieces(self, call: Callable[[Any, int], Any]) -> Generator[Any, None, None]:
        """The answers of all pieces in their order; few are under way at once, so that little memory is needed."""
        ahead, numbers = 2 * self.worker_count, list(self.loaded)
        for begin in range(0, len(numbers), ahead):
            window = [(self._keeper_of(number), number) for number in numbers[begin : begin + ahead]]
            yield from self._each([(keeper, call(keeper, number)) for keeper, number in window])

    def spilled_count(self) -> int:
        """Pieces of which a part is in files."""
        return sum(self._each((keeper, keeper.spilled_count.remote()) for keeper in self._keepers))

    def close(self) -> None:
        """End the workers."""
        for keeper in self._keepers:
            self.ray.kill(keeper)
        self._keepers = []

    def _keeper_of(self, number: int) -> Any:
        return self._keepers[number % len(self._keepers)]

    def _newest(self, shared: Any) -> int:
        told = newest_by_statistics(self.source.files, self.source.mapping)
        if told is not None:
            return told
        task = self.ray.remote(newest_of_file)
        refs = [task.remote(shared, number) for number in range(len(self.source.files))]
        return int(max(self._done(refs, "looking for the newest event", [1] * len(refs), "files")))

    def _load_grouped(self, as_of_us: int) -> int:
        groups = row_groups_by_learner(self.source.files)
        if groups is None or max(each.row_count for each in groups) > max(2 * self.rows_per_piece, _LARGEST_ROW_GROUP):
            raise NotGroupedError
        return self._keep(grouped_pieces(groups, self.rows_per_piece), as_of_us)

    def _part(self, shared: Any) -> tuple[list[Piece], int]:
        """Every row to the piece of its learner; Ray's object store holds them, and files what it cannot hold."""
        row_count = self.source.row_count
        part_count = min(max(-(-row_count // self.rows_per_piece), 1), _MOST_PARTS)
        task = self.ray.remote(num_returns=part_count + 1)(parted)
        refs, rows = [], []
        for number, file in enumerate(self.source.files):
            for run, count in _runs(file.metadata, self.rows_per_piece):
                refs.append(task.remote(shared, number, run, part_count))
                rows.append(count)
        facts = self._done([each[0] for each in refs], "parting", rows, "rows")
        pieces: list[Piece] = [
            PartedPiece(tuple(each[1 + part] for each in refs), row_count // part_count) for part in range(part_count)
        ]
        return pieces, max(newest for newest, _ in facts)

    def _keep(self, pieces: Sequence[Piece], as_of_us: int) -> int:
        """Give the pieces to workers and wait until they have the traits; returns the time of the newest event."""
        self.close()
        self.loaded, self._processes = {}, {}
        work = self.ray.put(Work(self.source, as_of_us, self.parameters, self.trait_weights, self.kept_bytes))
        count = min(self.worker_count, len(pieces))
        dealt = [
            [work, self.ray.put({number: pieces[number] for number in range(worker, len(pieces), count)})]
            for worker in range(count)
        ]
        self._kept = (pieces, dealt)
        actor = self.ray.remote(num_cpus=1, max_restarts=MOST_RESTARTS, max_task_retries=-1)(RayKeeper)
        self._keepers = [actor.remote(kept) for kept in dealt]
        self.tell("starting workers", 0, count, "workers")
        self.spilled_count()  # each has said which process it is
        refs = {self._keeper_of(number).load.remote(number): number for number in range(len(pieces))}
        total, done = sum(piece.row_count for piece in pieces), 0
        self.tell("traits", 0, total, "rows")
        waiting = list(refs)
        found: dict[int, Loaded] = {}
        while waiting:
            ready, waiting = self.ray.wait(waiting)
            for ref in ready:
                number = refs[ref]
                process, found[number] = self._get(ref)
                self._seen(self._keeper_of(number), process)
                done += pieces[number].row_count
            self.tell("traits", done, total, "rows")
        self.loaded = {number: found[number] for number in sorted(found)}
        return max((each.newest_us for each in found.values() if each.newest_us is not None), default=as_of_us)

    def _each(self, calls: Iterable[tuple[Any, Any]]) -> Generator[Any, None, None]:
        for keeper, ref in list(calls):
            process, answer = self._get(ref)
            self._seen(keeper, process)
            yield answer

    def _done(self, refs: Sequence[Any], what: str, amounts: Sequence[int], unit: str) -> list[Any]:
        """The answers of tasks, in order, with progress."""
        amount_of, waiting, done = dict(zip(refs, amounts, strict=True)), list(refs), 0
        self.tell(what, 0, sum(amounts), unit)
        while waiting:
            ready, waiting = self.ray.wait(waiting)
            done += sum(amount_of[ref] for ref in ready)
            self.tell(what, done, sum(amounts), unit)
        return [self._get(ref) for ref in refs]

    def _seen(self, keeper: Any, process: int) -> None:
        number = self._keepers.index(keeper)
        before = self._processes.setdefault(number, process)
        if before != process:
            self.lost_workers += 1
            self._processes[number] = process

    def _get(self, ref: Any) -> Any:
        """An answer; what was raised there is raised here as it was."""
        errors = self.ray.exceptions
        try:
            return self.ray.get(ref)
        except errors.RayTaskError as error:
            if isinstance(error.cause, (InputError, NotGroupedError)):
                raise error.cause from None
            raise
        except (errors.RayActorError, errors.WorkerCrashedError, errors.OutOfMemoryError) as error:
            raise InputError(
                f"a worker of Ray died more than {MOST_RESTARTS} times ({str(error).splitlines()[0]})",
                remedy="look into Ray's logs (/tmp/ray/session_latest/logs); allow less memory (--memory) or more "
                "workers where it was memory",
            ) from None


def _runs(metadata: Any, rows_per_run: int) -> Generator[tuple[list[int], int], None, None]:
    """Consecutive row groups of a file, as many as do not exceed so many rows, and their rows."""
    run: list[int] = []
    rows = 0
    for number in range(metadata.num_row_groups):
        count = metadata.row_group(number).num_rows
        if run and rows + count > rows_per_run:
            yield run, rows
            run, rows = [], 0
        if count:
            run.append(number)
            rows += count
    if run:
        yield run, rows
