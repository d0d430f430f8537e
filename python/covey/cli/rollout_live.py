"""What a live view adds to the status screen: the share over time, how far each criterion is, how to stop. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from covey.report import words
from covey.v1 import evidence_pb2
from covey.v1.journal_pb2 import Entry
from covey.v1.rollouts_pb2 import Rollout

BLOCKS = "▁▂▃▄▅▆▇█"
CELLS = 48
_BAR_CELLS = 12
_LEAST_SHARE_BP = 10
_EVERYBODY_BP = 10_000


@dataclass
class ShareHistory:
    """The candidate's share since the rollout began, from the entries of its journal, each heard once or again.

    Attributes:
        steps: (time, basis points), in the order of the journal.
        sequence: of the newest entry heard.
    """

    steps: list[tuple[datetime, int]] = field(default_factory=list)
    sequence: int = 0

    def hear(self, entries: Iterable[Entry]) -> None:
        """Takes entries that are new."""
        for entry in entries:
            if entry.sequence <= self.sequence:
                continue
            self.sequence = entry.sequence
            kind = entry.WhichOneof("payload")
            share = {
                "created": 0,
                "phase_entered": entry.phase_entered.candidate_weight_bp,
                "rollback_started": 0,
            }.get(kind or "")
            if share is not None:
                self.steps.append((entry.time.ToDatetime(UTC), share))

    def line(self, now: datetime, cells: int = CELLS) -> str:
        """A mark per span of time, the newest last: "▁▁▁▃▃▃▃▅▅▅ 4 min a mark"; empty before anything happened."""
        if not self.steps or now <= self.steps[0][0]:
            return ""
        begin = self.steps[0][0]
        span = (now - begin) / cells
        shares = [self._at(begin + (cell + 1) * span) for cell in range(cells)]
        return f"{''.join(map(_share_block, shares))} {words.about(span.total_seconds())} a mark"

    def _at(self, time: datetime) -> int:
        return next((share for since, share in reversed(self.steps) if since <= time), 0)


def _share_block(share_bp: int) -> str:
    """The logarithm of a share, 0.1 % to 100 %: a canary must be seen beside everybody. None at all is a dot."""
    if share_bp <= 0:
        return "·"
    part = math.log(max(share_bp, _LEAST_SHARE_BP) / _LEAST_SHARE_BP) / math.log(_EVERYBODY_BP / _LEAST_SHARE_BP)
    return BLOCKS[round(part * (len(BLOCKS) - 1))]


def proof_bar(verdict: evidence_pb2.Verdict, cells: int = _BAR_CELLS) -> str:
    """How far an open criterion is proven, ln E over its threshold: "███████░░░░░ 62 % proven"; empty for others."""
    open_question = verdict.result == evidence_pb2.Verdict.RESULT_INSUFFICIENT and verdict.log_threshold > 0
    if verdict.role != evidence_pb2.Verdict.ROLE_CRITERION or not open_question:
        return ""
    part = min(max(verdict.log_e_value / verdict.log_threshold, 0.0), 1.0)
    filled = int(part * cells)
    return f"{'█' * filled}{'░' * (cells - filled)} {math.floor(100 * part)} % proven"


def time_left(rollout: Rollout) -> str:
    """When the phase can end at the earliest and what decides that; empty where nothing can be said.

    The later of what is left of its time and of the slowest criterion that says how long it takes.
    """
    left = rollout.phase_hold.ToTimedelta() - rollout.phase_elapsed.ToTimedelta()
    left = max(left, timedelta(0))
    waiting = [verdict for verdict in rollout.verdicts if words.needs(verdict) and not verdict.report_only]
    unknown = [verdict for verdict in waiting if not verdict.HasField("eta")]
    if unknown:
        return f"no end in sight for {unknown[0].statement}"
    slowest = max(waiting, key=lambda verdict: verdict.eta.ToTimedelta(), default=None)
    if slowest is not None and slowest.eta.ToTimedelta() > left:
        return f"~{words.about(slowest.eta.ToTimedelta().total_seconds())} left, for {slowest.statement}"
    return f"{words.span(left.total_seconds())} left" if left else ""
