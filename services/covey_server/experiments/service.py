"""ExperimentService: analyses of rollouts and tables, and plans."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pyarrow as pa

from covey.errors import InputError
from covey.experiment import plan, plan_data
from covey.v1 import experiments_pb2 as pb
from covey.v1 import experiments_pb2_grpc
from covey_server.answering.budget import MemoryBudget
from covey_server.catalogue.calls import unary
from covey_server.errors import CallError
from covey_server.experiments.answered import answered
from covey_server.experiments.asked import columns_of, design_of, message_of, planned_of
from covey_server.experiments.pieces import RETRY_AFTER_SECONDS, TablePieces, columns_in
from covey_server.studies.process import REFUSED, in_memory

if TYPE_CHECKING:
    from covey.experiment import Design
    from covey_server.outcomes.outcomes import OutcomeBook
    from covey_server.split import SplitBoard
    from covey_server.studies.process import StudyProcesses

_PATIENCE_SECONDS = 30.0
LARGE_BYTES = 4 << 20
"""Below, an analysis takes less than a process takes to begin."""


class ExperimentServicer(experiments_pb2_grpc.ExperimentServiceServicer):
    """The methods of covey.v1.ExperimentService.

    Args:
        outcomes: what learners of rollouts did.
        board: which segments are routed back to the baseline.
        share_of: the candidate's share of a phase of a rollout by its spec.
        budget: memory for tables that come in pieces.
        processes: for tables that take long: nobody who asks about a learner waits for them.
    """

    def __init__(
        self,
        outcomes: OutcomeBook,
        board: SplitBoard,
        share_of: Callable[[str, str], float],
        budget: MemoryBudget,
        processes: StudyProcesses,
    ) -> None:
        self._outcomes = outcomes
        self._board = board
        self._share_of = share_of
        self._budget = budget
        self._processes = processes
        # Whoever watches experiments must not take the memory of those who ask about learners.
        self._tables = MemoryBudget(budget.limit_bytes // 2)
        self._reading = threading.Lock()
        self._at_work = threading.Lock()

    @unary
    def AnalyzeExperiment(  # noqa: N802 - named by the contract
        self, request: pb.AnalyzeExperimentRequest, context: grpc.ServicerContext
    ) -> pb.AnalyzeExperimentResponse:
        """Compare the variants of a rollout's phase or of a table."""
        with self._alone():
            return self._analyzed(request, context)

    @unary
    def AnalyzeExperimentRows(  # noqa: N802 - named by the contract
        self, requests: Iterator[pb.AnalyzeExperimentRowsRequest], context: grpc.ServicerContext
    ) -> pb.AnalyzeExperimentResponse:
        """Compare the variants of a table that comes in pieces."""
        first = next(requests, None)
        if first is None or first.WhichOneof("part") != "question":
            raise _invalid("question", ValueError("is missing; the first message says what is asked"))
        if first.question.WhichOneof("source"):
            raise _invalid("question.source", ValueError("is set; the rows come in the messages after this one"))
        design = design_of(first.question, (), "", {})
        # Its thread waits for the caller, and so one table is read at a time.
        if not self._reading.acquire(blocking=False):
            raise _busy("another table is being read")
        try:
            with TablePieces(self._budget, self._tables) as pieces:
                for request in requests:
                    if request.WhichOneof("part") != "rows":
                        raise _invalid("rows", ValueError("is missing; every message after the first brings rows"))
                    pieces.add(request.rows)
                tables = [pieces.table()]
                pieces.let_go()
                with self._alone(wait_seconds=_PATIENCE_SECONDS):  # all of it was sent: it is not sent again
                    return self._answered(tables, first.question, design, context)
        finally:
            self._reading.release()

    @contextmanager
    def _alone(self, wait_seconds: float = 0.0) -> Iterator[None]:
        # Answers to learners come first: an analysis takes a processor for up to seconds, and one of them does.
        if not self._at_work.acquire(timeout=wait_seconds):
            raise _busy("another experiment is being analysed")
        try:
            yield
        except InputError as error:
            raise _invalid("source", error) from error
        finally:
            self._at_work.release()

    @unary
    def PlanExperiment(  # noqa: N802 - named by the contract
        self, request: pb.PlanExperimentRequest, context: grpc.ServicerContext
    ) -> pb.PlanExperimentResponse:
        """How many units each outcome takes."""
        outcomes = planned_of(request)
        try:
            made = plan(
                outcomes,
                variants=request.variant_count or 2,
                control_share=request.control_share or None,
                alpha=request.alpha or 0.05,
                power=request.power or 0.8,
                looks=request.look_count or 5,
                units_per_day=request.units_per_day or None,
                units=request.unit_count or None,
            )
        except (InputError, ValueError) as error:
            raise _invalid("request", error) from error
        answer: pb.PlanExperimentResponse = message_of(plan_data(made), pb.PlanExperimentResponse())
        return answer

    def _analyzed(
        self, request: pb.AnalyzeExperimentRequest, context: grpc.ServicerContext
    ) -> pb.AnalyzeExperimentResponse:
        source = request.WhichOneof("source")
        if source == "rollout":
            columns, design = self._of_rollout(request)
            return self._answered([pa.table(columns)], request, design, context)
        if source == "table":
            columns = columns_in(request.table, "table")
            design = design_of(request, (), "", {})
        else:
            raise _invalid("source", ValueError("is missing; give a rollout or a table"))
        return answered(columns, design)

    def _answered(
        self,
        tables: list[pa.Table],
        request: pb.AnalyzeExperimentRequest,
        design: Design,
        context: grpc.ServicerContext,
    ) -> pb.AnalyzeExperimentResponse:
        """Analyse the table of a list of one: what is small here, what is large in a process that has it then."""
        table = tables.pop()
        if table.nbytes < LARGE_BYTES:
            return answered(table, design)
        question = pb.AnalyzeExperimentRequest()
        question.CopyFrom(request)
        question.ClearField("source")
        order: dict[str, object] = {
            "kind": "experiment",
            "request": base64.b64encode(question.SerializeToString()).decode(),
            "metrics": [outcome.name for outcome in design.outcomes],
            "control": design.control,
            "shares": dict(design.planned_shares),
        }
        with in_memory(table) as file:
            del table
            try:
                answer = self._processes.run(order, context, file)
            except CallError as error:
                if error.reason == REFUSED:
                    raise _invalid("source", ValueError(error.message)) from error
                raise
        return pb.AnalyzeExperimentResponse.FromString(answer)

    def _of_rollout(self, request: pb.AnalyzeExperimentRequest) -> tuple[dict[str, Any], Design]:
        named = request.rollout
        share = self._share_of(named.rollout, named.phase)
        split = self._board.latest()
        excluded = split.excluded_segments if split is not None and split.rollout == named.rollout else frozenset()
        observed = self._outcomes.observations(named.rollout, named.phase, excluded)
        if observed is None or not len(observed.learners):
            raise CallError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"{named.rollout} has no learner in phase '{named.phase}' whose outcome window has closed; wait until "
                "the window is over",
                reason="NO_CLOSED_WINDOWS",
            )
        baseline, candidate = observed.variants
        shares = {baseline: 1 - share, candidate: share} if 0 < share < 1 else {}
        return columns_of(observed), design_of(request, tuple(observed.metrics), baseline, shares)


def _busy(what: str) -> CallError:
    return CallError(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        f"{what}; come again in a moment",
        reason="ANALYSIS_RUNNING",
        retry_after_seconds=RETRY_AFTER_SECONDS,
    )


def _invalid(field: str, error: Exception) -> CallError:
    return CallError(
        grpc.StatusCode.INVALID_ARGUMENT, f"{field}: {error}", violations=[(field, str(error))], reason="INVALID_FIELD"
    )
