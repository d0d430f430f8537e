"""What services ask of the data port: learners, streams, uploads, discoveries, outcomes; also cancelled and refused."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

import grpc
import numpy as np
from grpc_health.v1 import health_pb2
from server.running import history, question

from covey.v1 import analyzer_pb2 as pb
from covey.v1 import datasets_pb2, events_pb2, outcomes_pb2, rollouts_pb2, variants_pb2

from .connection import Server

LEARNERS = 300
PATIENCE_SECONDS = 60.0
# A study has a process of its own at low priority, which a busy machine lets wait.
STUDY_PATIENCE_SECONDS = 240.0
_HISTORIES = [history(seed) for seed in range(20)]
_CROWD = 160


@dataclass(frozen=True)
class Caller:
    """Something that is done again and again.

    Attributes:
        name: for reports.
        seconds_between: from the end of one time to the begin of the next.
        act: does it once.
        seconds_before: the first time.
    """

    name: str
    seconds_between: float
    act: Callable[[], None]
    seconds_before: float = 0.0


def callers_of(
    acts: Sequence[tuple[float, Callable[[Random], None]]], seed: object, *, at_once: bool = True
) -> list[Caller]:
    """One for each act, named like it, with chance of its own.

    Args:
        acts: with the seconds between two times.
        seed: of all of them.
        at_once: begin with the load, instead of so many seconds later.
    """

    def caller(number: int, seconds: float, act: Callable[[Random], None]) -> Caller:
        chance, name = Random(f"{seed} {number}"), act.__name__.strip("_").replace("_", " ")
        return Caller(name, seconds, lambda: act(chance), 0.0 if at_once else seconds)

    return [caller(number, *one) for number, one in enumerate(acts)]


class Services:
    """Callers of a server's data port.

    Args:
        server: is called.
        seed: of what is asked in which order.
        is_stopping: set when no new work should begin.
    """

    def __init__(self, server: Server, seed: int, is_stopping: threading.Event) -> None:
        self._server = server
        self._seed = seed
        self._is_stopping = is_stopping
        self._ids = itertools.count()

    def first_calls(self) -> None:
        """Every room once, by itself: what a server imports and keeps for good is there afterwards."""
        variant = variants_pb2.Variant(engine="native")
        request = pb.CreateVariantRequest(variant_id="another", variant=variant, request_id="variant")
        self._server.analyzer.CreateVariant(request, timeout=PATIENCE_SECONDS)
        chance = Random(self._seed)
        for act in (self._ask, self._stream, self._discover, self._read):
            act(chance)

    def callers(self) -> list[Caller]:
        """All of them; each is for one thread."""
        acts: list[tuple[float, Callable[[Random], None]]] = [
            (0.05, self._ask),
            (1.0, self._stream),
            (5.0, self._ask_much),
            (60.0, self._crowd),
            (10.0, self._upload),
            (10.0, self._discover),
            (0.3, self._cancel),
            (0.5, self._be_refused),
            (2.0, self._read),
            (2.0, self._come_and_go),
        ]
        return callers_of(acts, self._seed)

    def _id(self, what: str) -> str:
        return f"{what}-{next(self._ids)}"

    # What is answered

    def _ask(self, chance: Random) -> None:
        learner = f"learner-{chance.randrange(LEARNERS)}"
        asked = question(learner, packed=chance.choice(_HISTORIES), segment=chance.choice(["north", "south", ""]))
        answer = self._server.analyzer.AnalyzeLearner(asked, timeout=PATIENCE_SECONDS)
        if answer.exposure_token and chance.random() < 0.2:
            report = outcomes_pb2.ReportOutcomesRequest(request_id=self._id("outcome"))
            outcome = report.outcomes.add(
                learner_id=learner, metric="revenue", value=chance.random(), exposure_token=answer.exposure_token
            )
            outcome.time.GetCurrentTime()
            self._server.outcomes.ReportOutcomes(report, timeout=PATIENCE_SECONDS)

    def _stream(self, chance: Random) -> None:
        list(self._server.analyzer.AnalyzeLearners(self._messages(chance, 3), timeout=PATIENCE_SECONDS))

    def _messages(self, chance: Random, count: int) -> Iterator[pb.AnalyzeLearnersRequest]:
        for _ in range(count):
            learners = [f"learner-{chance.randrange(LEARNERS)}" for _ in range(32)]
            yield pb.AnalyzeLearnersRequest(requests=[question(each, packed=_HISTORIES[0]) for each in learners])

    def _ask_much(self, chance: Random) -> None:
        self._server.analyzer.AnalyzeLearner(large_question(chance.uniform(0.5, 3.9)), timeout=PATIENCE_SECONDS)

    def _crowd(self, chance: Random) -> None:
        """More calls at once than may wait, and more bytes at once than there is memory for."""
        large, small = large_question(2.5), question("crowd", packed=_HISTORIES[0])
        asked = [large] * 8 + [small] * _CROWD
        chance.shuffle(asked)
        calls = [self._server.analyzer.AnalyzeLearner.future(each, timeout=PATIENCE_SECONDS) for each in asked]
        for call in calls:
            call.exception()

    def _upload(self, chance: Random) -> None:
        """A data set of megabytes: sent, dropped half-way, gone on with, deleted."""
        with self._dataset("upload") as dataset:
            chunks = [uploaded_chunk(chance.randrange(10**6), chance.randrange(1, 60_000)) for _ in range(8)]
            dropped = self._server.analyzer.AppendEvents(appends(dataset, chunks), timeout=PATIENCE_SECONDS)
            next(dropped)
            dropped.cancel()
            answers = list(self._server.analyzer.AppendEvents(appends(dataset, chunks), timeout=PATIENCE_SECONDS))
            synced = [answer.synced_chunk_sequence for answer in answers]
            assert synced[-1] == len(chunks), synced

    def _discover(self, chance: Random) -> None:
        """Cohorts of a data set, asked about, then forgotten; and a discovery that is cancelled."""
        analyzer, patience = self._server.analyzer, PATIENCE_SECONDS
        with self._dataset("discovery") as dataset:
            chunks = [uploaded_chunk(chance.randrange(10**6), 4000) for _ in range(2)]
            list(analyzer.AppendEvents(appends(dataset, chunks), timeout=patience))
            analyzer.GetDataset(pb.GetDatasetRequest(name=dataset), timeout=patience)
            job = self._job(dataset, cohort_count=3)
            *_, job = analyzer.WatchJob(pb.WatchJobRequest(name=job.name), timeout=patience)
            job = analyzer.GetJob(pb.GetJobRequest(name=job.name), timeout=patience)
            assert job.state == datasets_pb2.Job.STATE_SUCCEEDED, job
            try:
                self._use(job.cohort_model, dataset)
                other = self._job(dataset).name
                analyzer.CancelJob(pb.CancelJobRequest(name=other, request_id=self._id("cancel")), timeout=patience)
            finally:
                deletion = pb.DeleteCohortModelRequest(name=job.cohort_model, request_id=self._id("delete"))
                analyzer.DeleteCohortModel(deletion, timeout=patience)

    def _use(self, model: str, dataset: str) -> None:
        analyzer, patience = self._server.analyzer, PATIENCE_SECONDS
        analyzer.GetCohortModel(pb.GetCohortModelRequest(name=model), timeout=patience)
        for learner in ("learner-1", "learner-2"):
            asked = pb.GetLearnerCohortRequest(learner_id=learner, dataset=dataset, cohort_model=model)
            analyzer.GetLearnerCohort(asked, timeout=patience)
            analyzer.AnalyzeLearner(pb.AnalyzeLearnerRequest(learner_id=learner, dataset=dataset), timeout=patience)
        forgotten = pb.DeleteLearnerRequest(learner_id="learner-1", request_id=self._id("forget"))
        analyzer.DeleteLearner(forgotten, timeout=patience)

    def _read(self, chance: Random) -> None:
        analyzer = self._server.analyzer
        for method, request in (
            ("GetServerInfo", pb.GetServerInfoRequest()),
            ("ListDatasets", pb.ListDatasetsRequest()),
            ("ListJobs", pb.ListJobsRequest(page_size=chance.randrange(1, 100))),
            ("ListCohortModels", pb.ListCohortModelsRequest()),
            ("ListVariants", pb.ListVariantsRequest()),
            ("GetVariant", pb.GetVariantRequest(name="variants/native")),
        ):
            getattr(analyzer, method)(request, timeout=PATIENCE_SECONDS)
        self._server.health.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE_SECONDS)
        assert "covey_requests_total" in self._server.page()

    def _come_and_go(self, chance: Random) -> None:
        """A connection of its own; its last call is still under way when it ends."""
        channel = self._server.another()
        ask = channel.unary_unary("/covey.v1.AnalyzerService/AnalyzeLearner")
        request = question("passing", packed=chance.choice(_HISTORIES)).SerializeToString()
        ask(request, timeout=PATIENCE_SECONDS)
        ask.future(request, timeout=PATIENCE_SECONDS)
        channel.close()

    # What is not

    def _cancel(self, chance: Random) -> None:
        """Calls whose callers go away: waiting, at work in the core, in the middle of a stream."""
        kind = chance.randrange(4)
        analyzer = self._server.analyzer
        if kind < 2:
            asked = large_question(chance.uniform(0.2, 1.5)) if kind else question("gone", packed=_HISTORIES[0])
            call = analyzer.AnalyzeLearner.future(asked, timeout=PATIENCE_SECONDS)
            self._is_stopping.wait(chance.uniform(0, 0.02))
            call.cancel()
        elif kind == 2:
            stream = analyzer.AnalyzeLearners(self._messages(chance, 4), timeout=PATIENCE_SECONDS)
            next(stream)
            stream.cancel()
        else:
            analyzer.AnalyzeLearner.future(large_question(1.0), timeout=chance.uniform(0.001, 0.02)).exception()

    def _be_refused(self, chance: Random) -> None:
        """Calls that nobody should make, each with the code that it must get."""
        kind = chance.randrange(8)
        server, analyzer = self._server, self._server.analyzer
        stale = rollouts_pb2.CommitDecisionRequest(name="rollouts/none", epoch=1, request_id=self._id("stale"))
        nameless = rollouts_pb2.AcquireLeaseRequest(target="analyzer", request_id=self._id("lease"))
        variant = pb.CreateVariantRequest(
            variant_id="native", variant=variants_pb2.Variant(engine="native"), request_id=self._id("variant")
        )
        call, code = [
            (lambda: analyzer.AnalyzeLearner(question(""), timeout=PATIENCE_SECONDS), "INVALID_ARGUMENT"),
            (lambda: analyzer.AnalyzeLearner(large_question(4.2), timeout=PATIENCE_SECONDS), "RESOURCE_EXHAUSTED"),
            (lambda: server.raw(b"\xff\xff", timeout=PATIENCE_SECONDS), "INVALID_ARGUMENT"),
            (lambda: server.unknown(b"", timeout=PATIENCE_SECONDS), "UNIMPLEMENTED"),
            (lambda: analyzer.GetDataset(pb.GetDatasetRequest(name="datasets/none"), timeout=60), "NOT_FOUND"),
            (lambda: analyzer.CreateVariant(variant, timeout=PATIENCE_SECONDS), "ALREADY_EXISTS"),
            (lambda: server.rollouts.CommitDecision(stale, timeout=PATIENCE_SECONDS), "INVALID_ARGUMENT"),
            (lambda: server.rollouts.AcquireLease(nameless, timeout=PATIENCE_SECONDS), "INVALID_ARGUMENT"),
        ][kind]
        try:
            call()
        except grpc.RpcError as error:
            assert error.code().name in {code, "RESOURCE_EXHAUSTED"}, (kind, error)
        else:
            raise AssertionError(f"call {kind} was answered; {code} was due")

    # Parts

    @contextmanager
    def _dataset(self, what: str) -> Iterator[str]:
        """A data set that is deleted at the end, whatever happens: what stays would be growth."""
        name = self._id(what)
        creation = pb.CreateDatasetRequest(dataset_id=name, request_id=self._id("create"))
        self._server.analyzer.CreateDataset(creation, timeout=PATIENCE_SECONDS)
        try:
            yield f"datasets/{name}"
        finally:
            deletion = pb.DeleteDatasetRequest(name=f"datasets/{name}", request_id=self._id("delete"))
            self._server.analyzer.DeleteDataset(deletion, timeout=PATIENCE_SECONDS)

    def _job(self, dataset: str, **changes: Any) -> datasets_pb2.Job:
        spec = datasets_pb2.DiscoverySpec(dataset=dataset, variant="variants/native", **changes)
        request = pb.DiscoverCohortsRequest(spec=spec, request_id=self._id("discover"))
        return self._server.analyzer.DiscoverCohorts(request, timeout=PATIENCE_SECONDS)


def large_question(mebibytes: float) -> pb.AnalyzeLearnerRequest:
    """A question of so many bytes, all of them times."""
    count = int(mebibytes * (1 << 20) / 8)
    time_us = (int(time.time()) - np.arange(count) * 60) * 1_000_000
    packed = events_pb2.PackedEvents(event_count=count, time_us=time_us.astype("<i8").tobytes())
    return pb.AnalyzeLearnerRequest(learner_id="large", packed=packed)


def uploaded_chunk(seed: int, event_count: int) -> events_pb2.PackedEvents:
    """Events of `LEARNERS` learners."""
    packed = history(seed, event_count)
    owners = np.random.default_rng(seed).integers(0, LEARNERS, event_count).astype("<u2")
    packed.learner_id_dictionary.values.extend(f"learner-{number}" for number in range(LEARNERS))
    packed.learner_id_dictionary.indices_uint16 = owners.tobytes()
    return packed


def appends(dataset: str, chunks: list[events_pb2.PackedEvents]) -> Iterator[datasets_pb2.AppendEventsRequest]:
    """The messages of an append."""
    yield datasets_pb2.AppendEventsRequest(dataset=dataset, append_id="a")
    for number, packed in enumerate(chunks, start=1):
        yield datasets_pb2.AppendEventsRequest(chunk_sequence=number, packed=packed)
