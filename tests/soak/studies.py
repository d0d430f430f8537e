"""What analysts ask of the data port: studies of one small data set, interventions, and a federation."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import grpc
import numpy as np
from federation.here_and_there import Here, There
from numpy.typing import NDArray
from server.stored import DAY_US, START_US, store_events

from covey import Events
from covey.churn import Kind, panel, save_model, train
from covey.cohort_message import cohort_model_message
from covey.federation import Federation, RegionRefusedError, discover_without_learners
from covey.parameters import DEFAULT_TRAIT_WEIGHTS
from covey.parts import LocalPart
from covey.v1 import analyzer_pb2, churn_pb2, evolution_pb2, interventions_pb2, retention_pb2
from covey.v1 import federation_pb2 as federation
from covey.v1 import together_pb2 as together
from covey.v1.tuning_pb2 import TuneAnalyzerRequest

from .connection import Server
from .services import STUDY_PATIENCE_SECONDS, Caller, callers_of

LEARNERS, LEARNERS_ELSEWHERE = 200, 100
DATASET, CHURN_MODEL = "datasets/course", "churnModels/churn@1"
AS_OF_US = START_US + 40 * DAY_US
_COHORTS, _SEED = 2, 1
_ATTEMPTS = 30
_EVENTS_EACH = 40
_TOPICS = [f"t{number}" for number in range(9)]


class Studies:
    """Callers of everything about a data set as a whole.

    Args:
        server: is called.
        data_directory: of the server, for a model of churn.
        seed: of what is asked in which order.
        is_stopping: set when no new work should begin.
    """

    def __init__(self, server: Server, data_directory: Path, seed: int, is_stopping: threading.Event) -> None:
        self._server = server
        self._seed = seed
        self._is_stopping = is_stopping
        self._ids = itertools.count()
        learner, time_us, topic = _leavers(LEARNERS + LEARNERS_ELSEWHERE)
        is_here = learner < LEARNERS
        stored = store_events(server, "course", learner[is_here], time_us[is_here], _TOPICS, topic[is_here])
        folder = data_directory / "churn-models"
        folder.mkdir(exist_ok=True)
        save_model(train(panel(stored), Kind.logistic).model, folder / "churn@1.json")
        texts = [_TOPICS[code] for code in topic.tolist()]
        everybody = Events.from_numpy(learner, time_us, texts, texts, time_unit="us").traits(AS_OF_US)
        self._matrix, self._hashes = everybody.matrix, everybody.learner_ids.hashes()
        whole = self._part(0)
        expected = discover_without_learners(lambda asked: [whole.answer(asked)], _COHORTS, _SEED, attempts=1)
        self._expected = expected.centroids.tobytes()

    def first_calls(self) -> None:
        """Everything once, and so answered: what runs one at a time one after the other, the rest beside it."""
        beside = [self._tune, self._federate]
        lanes = [[act for _, act in self._acts() if act not in beside], *([act] for act in beside)]

        def run(lane: list[Callable[[Random], None]]) -> None:
            chance = Random(self._seed)
            for act in lane:
                act(chance)

        with ThreadPoolExecutor(len(lanes)) as pool:
            list(pool.map(run, lanes))

    def callers(self) -> list[Caller]:
        """All of them; each is for one thread, and begins when it is due: everything was done once."""
        return callers_of([*self._acts(), (43.0, self._leave)], f"{self._seed} studies", at_once=False)

    def _acts(self) -> list[tuple[float, Callable[[Random], None]]]:
        # Studies run one at a time: without a common measure they do not meet again and again.
        return [
            (10.0, self._find_similar),
            (29.0, self._score_churn),
            (31.0, self._retention),
            (37.0, self._evolution),
            (53.0, self._form_groups),
            (59.0, self._tune),
            (41.0, self._intervene),
            (20.0, self._help_newcomers),
            (47.0, self._federate),
        ]

    def _id(self, what: str) -> str:
        return f"study-{what}-{next(self._ids)}"

    # Studies of the data set

    def _find_similar(self, chance: Random) -> None:
        self._similar(learner_id=str(chance.randrange(LEARNERS)), count=chance.randrange(1, 50))

    def _similar(self, **fields: Any) -> None:
        request = together.FindSimilarLearnersRequest(dataset=DATASET, **fields)
        for _ in range(_ATTEMPTS):
            try:
                answer = self._server.together.FindSimilarLearners(request, timeout=STUDY_PATIENCE_SECONDS)
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:  # which it is until traits have been read
                    raise
                if self._is_stopping.wait(1.0):
                    return
                continue
            assert answer.learner_count == LEARNERS, answer
            return
        raise TimeoutError(f"the traits of {DATASET} were not ready {_ATTEMPTS} times")

    def _score_churn(self, chance: Random) -> None:
        answer = self._server.churn.ScoreChurn(self._churn(chance), timeout=STUDY_PATIENCE_SECONDS)
        assert answer.scores, answer

    def _churn(self, chance: Random) -> churn_pb2.ScoreChurnRequest:
        request = churn_pb2.ScoreChurnRequest(dataset=DATASET, model=CHURN_MODEL)
        request.as_of.FromMicroseconds(AS_OF_US + chance.randrange(3) * 14 * DAY_US)
        return request

    def _retention(self, chance: Random) -> None:
        request = retention_pb2.GetRetentionRequest(dataset=DATASET, away_after_days=chance.randrange(7, 15))
        assert (
            self._server.retention.GetRetention(request, timeout=STUDY_PATIENCE_SECONDS).total.learner_count == LEARNERS
        )

    def _evolution(self, chance: Random) -> None:
        request = evolution_pb2.GetEvolutionRequest(dataset=DATASET, every_days=chance.randrange(7, 28), cohort_count=2)
        assert self._server.evolution.GetEvolution(request, timeout=STUDY_PATIENCE_SECONDS).learner_count == LEARNERS

    def _form_groups(self, chance: Random) -> None:
        request = together.FormGroupsRequest(dataset=DATASET, cohort_count=2, seed=chance.randrange(100))
        assert self._server.together.FormGroups(request, timeout=STUDY_PATIENCE_SECONDS).placed_count == LEARNERS

    def _tune(self, chance: Random) -> None:
        request = TuneAnalyzerRequest(
            dataset=DATASET, objective=TuneAnalyzerRequest.OBJECTIVE_SEPARATION, trial_count=24, fold_count=3,
            constants=[TuneAnalyzerRequest.CONSTANTS_COHORT_COUNT], seed=chance.randrange(100),
        )  # fmt: skip
        assert self._server.tuning.TuneAnalyzer(request, timeout=STUDY_PATIENCE_SECONDS).learner_count == LEARNERS

    def _leave(self, chance: Random) -> None:
        """A study whose caller goes away."""
        request = retention_pb2.GetRetentionRequest(dataset=DATASET, away_after_days=7)
        call = self._server.retention.GetRetention.future(request, timeout=STUDY_PATIENCE_SECONDS)
        self._is_stopping.wait(chance.uniform(0, 1))
        call.cancel()

    # Interventions

    def _intervene(self, chance: Random) -> None:
        """One playbook, of which every learner has so much that soon nothing is planned: what stays would be growth."""
        book = interventions_pb2.Playbook(name="course", action="call", holdout_share=0.3, outcome_days=14)
        self._plan(book, churn=self._churn(chance))
        effect = interventions_pb2.ReportInterventionEffectRequest(playbook=book, dataset=DATASET)
        answer = self._server.interventions.ReportInterventionEffect(effect, timeout=STUDY_PATIENCE_SECONDS)
        assert answer.analysis.unit_count > 0, answer

    def _help_newcomers(self, chance: Random) -> None:
        """Learners whom somebody else has scored; in the end they are forgotten."""
        book = interventions_pb2.Playbook(name="newcomers", action="call", holdout_share=0.0)
        learners = [self._id("newcomer") for _ in range(4)]
        scores = interventions_pb2.InterventionScores(
            scores=[churn_pb2.ChurnScore(learner_id=each, probability=chance.random()) for each in learners]
        )
        scores.as_of.FromMicroseconds(AS_OF_US)
        try:
            assert self._plan(book, scores=scores) >= len(learners)
        finally:
            for each in learners:
                forgotten = analyzer_pb2.DeleteLearnerRequest(learner_id=each, request_id=self._id("forget"))
                self._server.analyzer.DeleteLearner(forgotten, timeout=STUDY_PATIENCE_SECONDS)

    def _plan(self, book: interventions_pb2.Playbook, **source: Any) -> int:
        """Plan, list what waits, do one half of it and give up the other; how many actions waited."""
        stub, asked = self._server.interventions, interventions_pb2.PlanInterventionsRequest
        request = asked(playbook=book, request_id=self._id("plan"), quiet_days=0, **source)
        planned = stub.PlanInterventions(request, timeout=STUDY_PATIENCE_SECONDS)
        assert planned.chosen_count > 0, planned
        waiting = interventions_pb2.ListInterventionActionsRequest(playbook=book.name, page_size=50)
        keys = [action.key for page in _pages(stub.ListInterventionActions, waiting) for action in page.actions]
        moved = interventions_pb2.AdvanceInterventionActionsRequest(done_keys=keys[::2], given_up_keys=keys[1::2])
        answer = stub.AdvanceInterventionActions(moved, timeout=STUDY_PATIENCE_SECONDS)
        assert answer.done_count + answer.given_up_count == len(keys) >= planned.action_count, (planned, answer)
        return len(keys)

    # A federation of the server and of learners who are here

    def _federate(self, chance: Random) -> None:
        """Cohorts to the bit those of one process with all learners, kept and asked about, then forgotten."""
        run = self._id("run")
        opening = federation.OpenRegionRequest(run=run, region="there", dataset=DATASET)
        opening.as_of.FromMicroseconds(AS_OF_US)
        there, here = There(self._server.federation, opening), Here("here", self._part(LEARNERS), run)
        try:
            with Federation({"there": there, "here": here}) as regions:
                found = discover_without_learners(regions.ask, _COHORTS, _SEED, attempts=1)
                assert found.centroids.tobytes() == self._expected
                there.close(cohort_model_message(found, f"cohortModels/{run}"))
        except RegionRefusedError as error:
            raise error.reason from None
        try:
            self._similar(learner_id="1", cohort_model=f"cohortModels/{run}", same_cohort=True)
        finally:
            deletion = analyzer_pb2.DeleteCohortModelRequest(name=f"cohortModels/{run}", request_id=self._id("delete"))
            self._server.analyzer.DeleteCohortModel(deletion, timeout=STUDY_PATIENCE_SECONDS)
        told = federation.ListRegionAnswersRequest(run=run, page_size=5)
        answers = [each for page in _pages(self._server.federation.ListRegionAnswers, told) for each in page.answers]
        assert len(answers) == len(here.said), answers

    def _part(self, first: int) -> LocalPart:
        return LocalPart(np.ascontiguousarray(self._matrix[:, first:]), self._hashes[first:], DEFAULT_TRAIT_WEIGHTS)


def _leavers(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Learner, time and topic of events of learners of two kinds, of whom some leave."""
    random = np.random.default_rng(1)
    days = np.minimum(random.geometric(0.02, count) + 5, 90)
    learner = np.repeat(np.arange(count), _EVENTS_EACH)
    time_us = START_US + (random.random(len(learner)) * days[learner] * DAY_US).astype(np.int64)
    return learner, time_us, random.integers(0, 1 + (len(_TOPICS) - 1) * (learner % 2))


def _pages(call: Callable[..., Any], request: Any) -> Iterator[Any]:
    while True:
        page = call(request, timeout=STUDY_PATIENCE_SECONDS)
        yield page
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token
