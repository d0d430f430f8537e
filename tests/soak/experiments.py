"""What is asked of experiments on the data port: plans, rollouts that are over, tables; also cancelled."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from random import Random

import grpc
import numpy as np

from covey.v1 import experiments_pb2 as pb
from covey.v1.rollouts_pb2 import ListRolloutsRequest

from .connection import Server
from .people import TERMINAL
from .services import STUDY_PATIENCE_SECONDS, Caller, callers_of

_SMALL_TABLE, _LARGE_TABLE, _ROWS_PER_MESSAGE = 2_000, 200_000, 20_000


class Experiments:
    """Callers of ExperimentService.

    Args:
        server: is called.
        seed: of what is asked in which order.
        is_stopping: set when no new work should begin.
    """

    def __init__(self, server: Server, seed: int, is_stopping: threading.Event) -> None:
        self._server = server
        self._seed = seed
        self._is_stopping = is_stopping
        # What is small is analysed in the server, what is large in a process of its own.
        self._table_sizes = itertools.cycle((_LARGE_TABLE, _SMALL_TABLE))

    def first_calls(self) -> None:
        """Everything once, by itself, and so answered."""
        chance = Random(self._seed)
        for _, act in self._acts():
            act(chance)

    def callers(self) -> list[Caller]:
        """All of them; each is for one thread, and begins when it is due: everything was done once."""
        return callers_of([*self._acts(), (43.0, self._leave_rows)], f"{self._seed} experiments", at_once=False)

    def _acts(self) -> list[tuple[float, Callable[[Random], None]]]:
        return [(10.0, self._analyze_experiment), (20.0, self._analyze_rollout), (30.0, self._analyze_rows)]

    def _analyze_experiment(self, chance: Random) -> None:
        stub = self._server.experiments
        outcome = pb.PlannedOutcome(name="kept", share=chance.uniform(0.1, 0.9), minimum_effect=0.02)
        stub.PlanExperiment(pb.PlanExperimentRequest(outcomes=[outcome]), timeout=STUDY_PATIENCE_SECONDS)
        asked = _question()
        asked.table.CopyFrom(_table(0, _SMALL_TABLE, chance.randrange(100)))
        assert stub.AnalyzeExperiment(asked, timeout=STUDY_PATIENCE_SECONDS).analysis.unit_count == _SMALL_TABLE

    def _analyze_rollout(self, chance: Random) -> None:
        """A rollout that is over, by its own exposures."""
        listed = self._server.rollouts.ListRollouts(ListRolloutsRequest(page_size=1000), timeout=STUDY_PATIENCE_SECONDS)
        over = [rollout.name for rollout in listed.rollouts if rollout.state in TERMINAL]
        if not over:
            return
        source = pb.RolloutSource(rollout=chance.choice(over), phase="canary")
        asked = pb.AnalyzeExperimentRequest(rollout=source)
        try:
            self._server.experiments.AnalyzeExperiment(asked, timeout=STUDY_PATIENCE_SECONDS)
        except grpc.RpcError as error:
            # Nobody was exposed, or nobody's window is over.
            if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
                raise

    def _analyze_rows(self, chance: Random) -> None:
        count = next(self._table_sizes)
        pieces = _pieces(count, chance.randrange(100))
        answer = self._server.experiments.AnalyzeExperimentRows(pieces, timeout=STUDY_PATIENCE_SECONDS)
        assert answer.analysis.unit_count == count, answer

    def _leave_rows(self, chance: Random) -> None:
        """A table on its way whose caller goes away."""
        call = self._server.experiments.AnalyzeExperimentRows.future(
            _pieces(_LARGE_TABLE, 1), timeout=STUDY_PATIENCE_SECONDS
        )
        self._is_stopping.wait(chance.uniform(0, 1))
        call.cancel()


def _question() -> pb.AnalyzeExperimentRequest:
    specs = ("y=mean:y", "z=mean:z")
    return pb.AnalyzeExperimentRequest(outcomes=[pb.ExperimentOutcome(spec=spec) for spec in specs])


def _table(first: int, count: int, seed: int) -> pb.UnitTable:
    random = np.random.default_rng(seed)
    variant, noise = random.integers(0, 2, count), random.exponential(1, (2, count))
    column, numbers = pb.UnitColumn, pb.Numbers
    return pb.UnitTable(
        columns=[
            column(name="unit", integers=pb.Integers(values=range(first, first + count))),
            column(name="variant", texts=pb.Texts(values=np.array(["a", "b"])[variant].tolist())),
            column(name="y", numbers=numbers(values=(noise[0] + 0.1 * variant).tolist())),
            column(name="z", numbers=numbers(values=noise[1].tolist())),
        ]
    )


def _pieces(count: int, seed: int) -> Iterator[pb.AnalyzeExperimentRowsRequest]:
    yield pb.AnalyzeExperimentRowsRequest(question=_question())
    for first in range(0, count, _ROWS_PER_MESSAGE):
        rows = _table(first, min(_ROWS_PER_MESSAGE, count - first), seed + first)
        yield pb.AnalyzeExperimentRowsRequest(rows=rows)
