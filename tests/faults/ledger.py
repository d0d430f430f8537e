"""What callers were told, against what a server has: nothing lost, nothing doubled, nothing illegal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from covey.rollout import chain
from covey.rollout.state import fold
from covey.v1 import journal_pb2
from covey.v1.journal_pb2 import ListRecordsResponse
from covey.v1.rollouts_pb2 import Rollout


class Ledger:
    """The acknowledgements that a workload was given.

    Attributes:
        sent: request ids that were ever sent.
        refused: those of them that were refused for good: they may have left nothing.
        rollouts: names that were asked for.
        checked_count: journals that were compared.
        weights_bp: the candidate's weight by the journals of those of them that are under way, in basis points.
    """

    def __init__(self) -> None:
        self.sent: set[str] = set()
        self.refused: set[str] = set()
        self.rollouts: list[str] = []
        self.checked_count = 0
        self.weights_bp: dict[str, int] = {}
        self._acknowledged: dict[str, dict[int, bytes]] = defaultdict(dict)
        self._last: dict[str, int] = {}

    def acknowledge(self, rollout: str, entries: Sequence[journal_pb2.Entry], last_sequence: int) -> None:
        """A call was answered: these entries are in the journal, and everything up to that sequence is."""
        for entry in entries:
            self._acknowledged[rollout][entry.sequence] = entry.SerializeToString(deterministic=True)
        self._last[rollout] = max(self._last.get(rollout, 0), last_sequence)

    def check(self, rollout: str, pages: Sequence[ListRecordsResponse]) -> list[str]:
        """What is wrong with a rollout's journal as it is now; empty where nothing is."""
        self.checked_count += 1
        records = [chain.Record(each.sequence, each.entry, each.digest) for page in pages for each in page.records]
        if not records:
            return [f"{rollout}: lost as a whole"] if self._last.get(rollout) else []
        last = pages[-1]
        broken = chain.breaks(rollout, records, last.last_sequence, last.head_digest)
        problems = [f"{rollout}: record {each.sequence} {each.problem}" for each in broken]
        entries = [journal_pb2.Entry.FromString(record.entry) for record in records]
        problems += self._lost(rollout, records)
        problems += self._doubled(rollout, entries)
        self.weights_bp.pop(rollout, None)
        try:
            state = fold(entries)
        except ValueError as error:
            problems.append(f"{rollout}: illegal: {error}")
        else:
            if state.state != Rollout.STATE_DRAFT and not state.is_terminal:
                self.weights_bp[rollout] = state.candidate_weight_bp
        return problems

    def _lost(self, rollout: str, records: Sequence[chain.Record]) -> list[str]:
        stored = {record.sequence: record.entry for record in records}
        problems = [
            f"{rollout}: lost: entry {sequence} is not what was acknowledged"
            for sequence, entry in self._acknowledged[rollout].items()
            if stored.get(sequence) != entry
        ]
        if len(stored) < self._last.get(rollout, 0):
            problems.append(f"{rollout}: lost: {len(stored)} entries, {self._last[rollout]} were acknowledged")
        return problems

    def _doubled(self, rollout: str, entries: Sequence[journal_pb2.Entry]) -> list[str]:
        problems = []
        ended: set[str] = set()
        before = ""
        for entry in entries:
            request = entry.request_id
            if request in self.refused:
                problems.append(f"{rollout}: entry {entry.sequence} is of a request that was refused: {request}")
            if request and request not in self.sent:
                problems.append(f"{rollout}: entry {entry.sequence} is of a request that nobody sent: {request}")
            if request != before:
                ended.add(before)
                if request and request in ended:
                    problems.append(f"{rollout}: doubled: {request} has written at two times")
            elif request and entry.WhichOneof("payload") in _ONE_PER_REQUEST and entry.sequence > 1:
                problems.append(f"{rollout}: doubled: {request} has written twice")
            before = request
        return problems


_ONE_PER_REQUEST = frozenset({"tick", "paused", "resumed", "approved", "incident_reported", "incident_resolved"})
"""Payloads of which the workload never sends two in one request."""
