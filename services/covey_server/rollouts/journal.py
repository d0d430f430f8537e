"""The journal: the append-only record of every rollout, and the one place that writes it.

One rule keeps memory and disk together: what is in memory changes only after the commit, under the writer's lock, in
the order of the commits. Mutations that share a commit see each other's states through the transaction's scratch space.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

import grpc

from covey import failpoints
from covey.rollout import commands
from covey.rollout.chain import next_digest
from covey.rollout.resource import to_resource
from covey.rollout.state import IllegalEntry, RolloutState, apply
from covey.v1.journal_pb2 import Entry
from covey_server.errors import CallError
from covey_server.rollouts import journal_tables as tables
from covey_server.rollouts.board import BoardKeeper
from covey_server.rollouts.journal_entries import SERVER_ACTOR, Author, Place, Written, makes_stable, stamped
from covey_server.rollouts.journal_sharing import Neighbours
from covey_server.rollouts.journal_splits import TARGET, has_started, runs_candidate
from covey_server.rollouts.journal_states import States
from covey_server.rollouts.leases import Leases
from covey_server.rollouts.zero_ahead import ZeroAhead
from covey_server.store import Store

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from covey_server.catalogue.catalogue import Catalogue
    from covey_server.split import SplitBoard

T = TypeVar("T")

MOST_ACTIVE_ROLLOUTS = 1000


class Journal:
    """The rollouts of one store.

    Args:
        store: where they last; its tables exist.
        board: where requests read the split; this journal is its only publisher.
        catalogue: knows the variants, and is told which one is stable when a rollout succeeds.
        clock: the wall clock, aware.
        leases: whose epochs are checked; default the store's.
        monotonic: seconds that only grow.
    """

    def __init__(
        self,
        store: Store,
        board: SplitBoard,
        catalogue: Catalogue,
        clock: Callable[[], datetime],
        leases: Leases | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store = store
        self.catalogue = catalogue
        self.clock = clock
        self.monotonic = monotonic
        self.leases = leases or Leases(store, clock)
        self.keeper = BoardKeeper(board)
        self.zero_ahead = ZeroAhead(self.keeper, store.place)
        self._states = States(store)
        self._neighbours = Neighbours(store, self._states, self._adopt)
        self._listeners: tuple[Callable[[RolloutState], None], ...] = ()

    # Reading

    def load(self) -> None:
        """Fold every rollout that is not finished and publish the split; before any port opens.

        Raises:
            StoreError: an entry cannot be read by this version.
        """
        self._states.load()
        for state in self._states.active():
            self.keeper.follow(state)

    def state(self, name: str) -> RolloutState:
        """The committed state of a rollout.

        Raises:
            CallError: NOT_FOUND.
        """
        return self._states.get(name)

    def state_at(self, name: str, sequence: int) -> RolloutState:
        """The state of a rollout as it was after one of its entries."""
        state = self._states.get(name)
        if state.last_sequence == sequence:
            return state
        with self.store.read() as connection:
            return self._states.folded(connection, name, sequence)

    def active(self) -> list[RolloutState]:
        """States of the rollouts that are not finished, oldest first."""
        return self._states.active()

    def entries(
        self,
        name: str,
        after: int = 0,
        until: int | None = None,
        *,
        omit_ticks: bool = False,
        limit: int | None = None,
    ) -> Generator[Entry]:
        """Entries with after < sequence <= until, in order; holds a reader of the store until it ends or is closed."""
        with self.store.read() as connection:
            yield from tables.entries_between(connection, name, after, until, omit_ticks=omit_ticks, limit=limit)

    def follow(self) -> None:
        """Take over what other servers of a shared store have written.

        Raises:
            StoreError: the store cannot be read.
        """
        if self._neighbours.are_ahead():
            self.commit(lambda _: None)

    def subscribe(self, listener: Callable[[RolloutState], None]) -> None:
        """Tell `listener` of every new state, after its commit and before any later one; it must be quick."""
        self._listeners = (*self._listeners, listener)

    # Writing

    def commit(self, mutation: Callable[[Connection], T], zero_ahead_of: str = "", *, is_reserved: bool = False) -> T:
        """Run a mutation of the journal in a shared commit; its effects are in force when this returns.

        Args:
            mutation: calls `create` and `append` with its connection.
            zero_ahead_of: rollout whose weight becomes 0 here even where the store fails or does not answer: the one
                change that may run ahead of the journal. It is recorded when the store can.
            is_reserved: whether it takes weight away, and so is recorded on a full disk too, as with `zero_ahead_of`.

        Raises:
            StoreError: nothing of it is in force.
        """

        def run(connection: Connection) -> T:
            self._neighbours.look(connection)
            return mutation(connection)

        if not zero_ahead_of:
            return self.store.group_commit(run, is_reserved=is_reserved)
        return self.zero_ahead.run(lambda: self.store.group_commit(run, is_reserved=True), zero_ahead_of)

    def create(self, connection: Connection, name: str, uid: str, entries: Sequence[Entry], author: Author) -> Written:
        """Begin a rollout's journal.

        Raises:
            CallError: ALREADY_EXISTS, or RESOURCE_EXHAUSTED where too many rollouts are not finished.
        """
        if tables.rollout_row(connection, name) is not None:
            raise CallError(
                grpc.StatusCode.ALREADY_EXISTS,
                f"{name} exists; choose another rollout_id",
                reason="ALREADY_EXISTS",
                metadata={"resource": name},
            )
        if self._states.active_count >= MOST_ACTIVE_ROLLOUTS:
            raise CallError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"{self._states.active_count} rollouts are not finished; abort those that nobody needs",
                reason="TOO_MANY_ROLLOUTS",
            )
        tables.insert_rollout(connection, name, uid, entries[0].created.spec.target)
        return self._write(connection, name, None, entries, author)

    def append(
        self,
        connection: Connection,
        name: str,
        entries: Sequence[Entry],
        author: Author,
        *,
        expected_sequence: int | None = None,
        judge: Callable[[Connection, RolloutState, Sequence[Entry], datetime], Sequence[Entry]] | None = None,
    ) -> Written:
        """Write entries, all or none.

        Args:
            connection: of a write transaction (`commit`).
            name: rollouts/{rollout}.
            entries: payload and reason; everything else is set here.
            author: its epoch, where it has one, must be that of the lease in force.
            expected_sequence: last sequence that the entries were decided on.
            judge: says what is written instead of a controller's entries, or refuses them.

        Raises:
            CallError: NOT_FOUND, ABORTED (the journal has gone on), FAILED_PRECONDITION (stale epoch, illegal entry, a
                decision that does not follow from its look, or another rollout has the target).
        """
        state = self.current(connection, name)
        if author.epoch is not None:
            self.leases.require(connection, state.spec.target, author.epoch)
        if expected_sequence is not None and expected_sequence != state.last_sequence:
            raise CallError(
                grpc.StatusCode.ABORTED,
                f"the journal of {name} is at sequence {state.last_sequence}, the decision was made on"
                f" {expected_sequence}; read the entries since then and decide again",
                reason="SEQUENCE_CONFLICT",
                metadata={"expected_sequence": str(expected_sequence), "last_sequence": str(state.last_sequence)},
            )
        if judge is not None:
            entries = judge(connection, state, entries, self.clock())
        return self._write(connection, name, state, entries, author)

    def current(self, connection: Connection, name: str) -> RolloutState:
        """The state as the write transaction of `connection` sees it.

        Raises:
            CallError: NOT_FOUND.
        """
        pending = self.store.pending(connection).get(("rollout", name))
        return pending if isinstance(pending, RolloutState) else self._states.get(name, connection)

    # The crash-loop breaker

    def running_candidate(self) -> str:
        """Name of the rollout whose candidate this server runs; empty where there is none."""
        return next((state.name for state in self._states.active() if runs_candidate(state)), "")

    def crash_loop(self) -> list[Written]:
        """Take the weight of every running candidate away: the server went down under it too often."""
        author = Author(SERVER_ACTOR)

        def mutation(connection: Connection) -> list[Written]:
            running = [state for state in self._states.active() if runs_candidate(state)]
            return [
                self.append(connection, state.name, commands.crash_loop(state, self.clock()), author)
                for state in running
            ]

        return self.commit(mutation, is_reserved=True)

    def _write(
        self, connection: Connection, name: str, state: RolloutState | None, entries: Sequence[Entry], author: Author
    ) -> Written:
        now = self.clock()
        written: list[Entry] = []
        digest = tables.head_digest(connection, name)
        for entry in entries:
            if entry.HasField("started") and state is not None:
                self._require_startable(connection, state)
            sequence, spec = (state.last_sequence + 1, state.spec_digest) if state else (1, entry.created.spec_digest)
            written.append(stamped(entry, Place(sequence, digest, spec), now, author))
            digest = next_digest(digest, written[-1].SerializeToString(deterministic=True))
            state = _applied(name, state, written[-1])
        assert state is not None
        failpoints.reach("journal.stamped")
        tables.insert_entries(connection, name, written)
        failpoints.reach("journal.written")
        if state.is_terminal:
            mine = state.spec.target == TARGET and not state.spec.dry_run
            if mine and any(makes_stable(entry) for entry in written):
                # Before `_adopt`, so that the stable variant changes before the split goes and nobody falls back.
                self.catalogue.set_stable(connection, state.spec.candidate)
            tables.finish_rollout(connection, name, to_resource(state).SerializeToString(deterministic=True))
        self.store.pending(connection)["rollout", name] = state
        self.store.after_commit(connection, lambda: self._adopt(state))
        return Written(state, tuple(written))

    def _require_startable(self, connection: Connection, starting: RolloutState) -> None:
        stable, baseline = self.catalogue.stable(connection), starting.spec.baseline
        if starting.spec.target == TARGET and baseline != stable:
            raise CallError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"{starting.name} compares with {baseline}, but the stable variant is {stable}: its start would move"
                f" everybody at once. Create a rollout whose baseline is {stable}",
                reason="BASELINE_NOT_STABLE",
                metadata={"baseline": baseline, "stable_variant": stable},
            )
        states = {state.name: state for state in self._states.active()}
        states.update({s.name: s for s in self.store.pending(connection).values() if isinstance(s, RolloutState)})
        for other in states.values():
            if other.name != starting.name and other.spec.target == starting.spec.target and has_started(other):
                raise CallError(
                    grpc.StatusCode.FAILED_PRECONDITION,
                    f"{other.name} has the target {other.spec.target!r} since it was started; let it finish or abort"
                    f" it before {starting.name} starts",
                    reason="TARGET_TAKEN",
                    metadata={
                        "rollout": other.name,
                        "target": other.spec.target,
                        "remedy": _remedy_of_taken(other.name),
                    },
                )

    def _adopt(self, state: RolloutState) -> None:
        failpoints.reach("journal.adopting")
        if state.is_terminal and self.store.is_shared:
            # Before the split goes, so that nobody falls back to the stable variant of before.
            self.catalogue.look_again()
        self._states.adopt(state)
        self.keeper.follow(state)
        failpoints.reach("journal.published")
        for listener in self._listeners:
            listener(state)


def _remedy_of_taken(holder: str) -> str:
    name = holder.removeprefix("rollouts/")
    return f"`covey rollout watch {name}` tells when it ends; `covey rollout abort {name} --reason ...` ends it now"


def _applied(name: str, state: RolloutState | None, entry: Entry) -> RolloutState:
    try:
        return apply(state, entry)
    except IllegalEntry as error:
        kind = entry.WhichOneof("payload") or "an entry without payload"
        raise CallError(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"{kind} cannot follow in {name}: {error}",
            reason="ILLEGAL_ENTRY",
            metadata={"kind": kind, "sequence": str(entry.sequence)},
        ) from error
