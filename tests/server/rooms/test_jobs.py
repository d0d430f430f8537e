"""Discovery jobs: what they find, how they are followed, cancelled and taken up again."""

from __future__ import annotations

import time
from typing import Any

import grpc
import numpy as np
import pytest
from waiting import wait_until

from covey.agreement import adjusted_rand_index
from covey.cohort_message import archetype_number
from covey.parameters import TRAIT_NAMES
from covey.v1 import analyzer_pb2, cohorts_pb2, datasets_pb2, events_pb2, traits_pb2
from covey_server.catalogue.parameters import trait_weights_of

Job = datasets_pb2.Job
DAY_US = 86_400_000_000


def history(learner_count: int, events_each: int = 20) -> events_pb2.PackedEvents:
    generator = np.random.default_rng(3)
    count = learner_count * events_each
    learners = np.repeat(np.arange(learner_count, dtype="<i8") + 2**53, events_each)
    habits = np.repeat(generator.integers(1, 8, learner_count), events_each)
    capability = generator.integers(0, 8, count) % habits
    return events_pb2.PackedEvents(
        event_count=count,
        learner_id_int64=learners.tobytes(),
        time_us=(generator.integers(0, 60, count) * habits * DAY_US // 8).astype("<i8").tobytes(),
        domain=events_pb2.DictionaryColumn(
            values=["a", "b", "c"], indices_uint8=(capability % 3).astype("u1").tobytes()
        ),
        capability=events_pb2.DictionaryColumn(
            values=list("abcdefgh"), indices_uint8=capability.astype("u1").tobytes()
        ),
        kind=generator.integers(1, 5, count).astype("u1").tobytes(),
        action_taken=generator.integers(0, 2, count).astype("u1").tobytes(),
    )


@pytest.fixture
def dataset(server: Any) -> str:
    name: str = server.create_dataset()
    fill(server, name, history(300))
    return name


def fill(server: Any, name: str, packed: events_pb2.PackedEvents) -> None:
    request = datasets_pb2.AppendEventsRequest
    chunks = [request(dataset=name, append_id="a"), request(chunk_sequence=1, packed=packed)]
    assert list(server.analyzer.AppendEvents(iter(chunks), timeout=20))[-1].synced_chunk_sequence == 1


def discover(server: Any, request_id: str = "r", **spec: Any) -> datasets_pb2.Job:
    request = analyzer_pb2.DiscoverCohortsRequest(spec=datasets_pb2.DiscoverySpec(**spec), request_id=request_id)
    job: datasets_pb2.Job = server.analyzer.DiscoverCohorts(request)
    return job


def watch(server: Any, name: str) -> list[datasets_pb2.Job]:
    return list(server.analyzer.WatchJob(analyzer_pb2.WatchJobRequest(name=name), timeout=60))


def model_of(server: Any, job: datasets_pb2.Job) -> cohorts_pb2.CohortModel:
    model: cohorts_pb2.CohortModel = server.analyzer.GetCohortModel(
        analyzer_pb2.GetCohortModelRequest(name=job.cohort_model)
    )
    return model


@pytest.mark.parametrize("variant", ["reference", "native"])
def test_a_job_finds_what_the_library_finds_bit_for_bit(server: Any, dataset: str, variant: str) -> None:
    job = discover(server, dataset=dataset, variant=f"variants/{variant}", seed=5)
    assert job.state == Job.STATE_QUEUED
    seen = watch(server, job.name)
    assert seen[-1].state == Job.STATE_SUCCEEDED, seen[-1].error
    assert [step.progress for step in seen] == sorted(step.progress for step in seen)
    assert seen[-1].progress == 1.0
    assert seen[-1].elapsed.ToNanoseconds() > 0
    model = model_of(server, seen[-1])

    events = server.rooms.datasets.events(dataset)
    cohorts = events.traits(engine=variant).discover(k="auto", seed=5)
    centroids = [[getattr(cohort.centroid, name) for name in TRAIT_NAMES] for cohort in model.cohorts]
    assert np.array_equal(np.array(centroids, np.float32), cohorts.centroids)
    assert [cohort.learner_count for cohort in model.cohorts] == list(cohorts.sizes)
    assert [cohort.archetype for cohort in model.cohorts] == [archetype_number(name) for name in cohorts.archetypes]
    assert model.quality.inertia == cohorts.quality.inertia
    assert model.quality.silhouette == cohorts.quality.silhouette
    assert (model.learner_count, model.event_count) == (300, 6000)
    assert model.as_of.ToMicroseconds() == events.newest_us
    assert model.engine == variant
    assert not model.quality.HasField("agreement")


def test_weights_of_its_own(server: Any, dataset: str) -> None:
    weights = {"learning_velocity": 0.6, "retention_strength": 0.4}
    job = discover(server, dataset=dataset, cohort_count=3, trait_weights=traits_pb2.TraitVector(**weights))
    seen = watch(server, job.name)
    assert seen[-1].state == Job.STATE_SUCCEEDED, seen[-1].error
    model = model_of(server, seen[-1])
    expected = server.rooms.datasets.events(dataset).traits(engine="reference").discover(3, trait_weights=weights)
    centroids = [[getattr(cohort.centroid, name) for name in TRAIT_NAMES] for cohort in model.cohorts]
    assert np.array_equal(np.array(centroids, np.float32), expected.centroids)
    assert trait_weights_of(model.trait_weights) == expected.model.trait_weights
    with pytest.raises(grpc.RpcError) as refused:
        half = traits_pb2.TraitVector(learning_velocity=0.5)
        discover(server, "r2", dataset=dataset, trait_weights=half)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "spec.trait_weights" in refused.value.details() and "sum 1" in refused.value.details()


def test_agreement_with_the_previous_model(server: Any, dataset: str) -> None:
    first = watch(server, discover(server, "r1", dataset=dataset, cohort_count=3).name)[-1]
    spec = {"dataset": dataset, "cohort_count": 4, "previous_model": first.cohort_model}
    second = watch(server, discover(server, "r2", **spec).name)[-1]
    quality = model_of(server, second).quality
    assert quality.agreement_model == first.cohort_model
    traits = server.rooms.datasets.events(dataset).traits(engine="reference")
    labels = [traits.discover(k=k).labels for k in (3, 4)]
    assert quality.agreement == adjusted_rand_index(labels[1], labels[0])
    same = watch(server, discover(server, "r3", **{**spec, "cohort_count": 3}).name)[-1]
    assert model_of(server, same).quality.agreement == 1.0


def test_a_retry_is_the_same_job_and_jobs_are_listed_newest_first(server: Any, dataset: str) -> None:
    names = [discover(server, f"r{number}", dataset=dataset, cohort_count=2).name for number in range(3)]
    assert discover(server, "r1", dataset=dataset, cohort_count=2).name == names[1]
    for name in names:
        watch(server, name)
    first = server.analyzer.ListJobs(analyzer_pb2.ListJobsRequest(page_size=2))
    second = server.analyzer.ListJobs(analyzer_pb2.ListJobsRequest(page_size=2, page_token=first.next_page_token))
    assert [job.name for job in [*first.jobs, *second.jobs]] == names[::-1]
    assert not second.next_page_token


def test_what_a_job_cannot_do_is_its_error(server: Any, dataset: str) -> None:
    job = watch(server, discover(server, dataset=dataset, cohort_count=301).name)[-1]
    assert job.state == Job.STATE_FAILED
    assert "301" in job.error
    assert "300" in job.error
    assert not job.cohort_model
    (path,) = server.rooms.datasets.folder(dataset).iterdir()
    path.write_bytes(path.read_bytes()[:-100])
    job = watch(server, discover(server, "r2", dataset=dataset, cohort_count=2).name)[-1]
    assert job.state == Job.STATE_FAILED
    assert path.name in job.error


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        ({"dataset": "datasets/none"}, grpc.StatusCode.NOT_FOUND),
        ({"dataset": "none"}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"dataset": "datasets/empty"}, grpc.StatusCode.FAILED_PRECONDITION),
        ({"dataset": "datasets/spring", "variant": "variants/none"}, grpc.StatusCode.NOT_FOUND),
        ({"dataset": "datasets/spring", "cohort_count": -1}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"dataset": "datasets/spring", "seed": -1}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"dataset": "datasets/spring", "previous_model": "cohortModels/none"}, grpc.StatusCode.NOT_FOUND),
    ],
)
def test_a_spec_is_checked_before_it_is_queued(server: Any, spec: dict[str, Any], code: grpc.StatusCode) -> None:
    fill(server, server.create_dataset(), history(3))
    server.create_dataset("empty")
    with pytest.raises(grpc.RpcError) as caught:
        discover(server, **spec)
    assert caught.value.code() is code
    assert not server.analyzer.ListJobs(analyzer_pb2.ListJobsRequest()).jobs


def test_jobs_are_cancelled_waiting_and_running(server: Any) -> None:
    dataset = server.create_dataset()
    # The reference engine's silhouettes of a few thousand learners take seconds: time enough to cancel.
    fill(server, dataset, history(8000, 4))
    running = discover(server, "r1", dataset=dataset).name
    waiting = discover(server, "r2", dataset=dataset).name
    wait_until(lambda: server.rooms.jobs.get(running).step != "")

    def cancel(name: str) -> datasets_pb2.Job:
        job: datasets_pb2.Job = server.analyzer.CancelJob(analyzer_pb2.CancelJobRequest(name=name, request_id="c"))
        return job

    started = time.monotonic()
    assert cancel(running).state == Job.STATE_CANCELLED
    assert time.monotonic() - started < 60
    assert cancel(running).state == Job.STATE_CANCELLED
    assert cancel(waiting).state == Job.STATE_CANCELLED
    assert watch(server, waiting)[-1].state == Job.STATE_CANCELLED
    assert not server.analyzer.ListCohortModels(analyzer_pb2.ListCohortModelsRequest()).cohort_models
    done = watch(server, discover(server, "r3", dataset=dataset, cohort_count=2, variant="variants/native").name)[-1]
    with pytest.raises(grpc.RpcError) as caught:
        cancel(done.name)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "SUCCEEDED already" in caught.value.details()


def test_jobs_go_on_after_a_restart(server: Any, dataset: str) -> None:
    finished = watch(server, discover(server, "r0", dataset=dataset, cohort_count=2).name)[-1]
    job = discover(server, "r1", dataset=dataset, variant="variants/native")
    # Starting its process takes far longer than going down does.
    wait_until(lambda: server.rooms.jobs.get(job.name).state == Job.STATE_RUNNING)
    server.restart()
    again = watch(server, job.name)
    assert again[0].state in {Job.STATE_QUEUED, Job.STATE_RUNNING}
    assert again[-1].state == Job.STATE_SUCCEEDED
    assert server.analyzer.GetJob(analyzer_pb2.GetJobRequest(name=finished.name)) == finished
    server.restart()
    assert server.analyzer.GetJob(analyzer_pb2.GetJobRequest(name=job.name)) == again[-1]
    assert model_of(server, again[-1]).learner_count == 300


def test_only_so_many_jobs_may_wait(server: Any, dataset: str) -> None:
    server.rooms.jobs._unfinished_limit = 1
    first = discover(server, "r1", dataset=dataset)
    with pytest.raises(grpc.RpcError) as caught:
        discover(server, "r2", dataset=dataset)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    watch(server, first.name)
    assert watch(server, discover(server, "r3", dataset=dataset, cohort_count=2).name)[-1].state == Job.STATE_SUCCEEDED


def test_a_dying_process_is_a_failed_job(server: Any, dataset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COVEY_ISA", "no-such-isa")
    job = watch(server, discover(server, dataset=dataset, variant="variants/native").name)[-1]
    assert job.state == Job.STATE_FAILED
    assert job.error
    monkeypatch.delenv("COVEY_ISA")
    good = watch(server, discover(server, "r2", dataset=dataset, cohort_count=2).name)[-1]
    assert good.state == Job.STATE_SUCCEEDED


def test_an_unknown_job(server: Any) -> None:
    for name, code in (("jobs/job-9", "NOT_FOUND"), ("jobs/x", "NOT_FOUND"), ("job-9", "INVALID_ARGUMENT")):
        with pytest.raises(grpc.RpcError) as caught:
            server.analyzer.GetJob(analyzer_pb2.GetJobRequest(name=name))
        assert caught.value.code().name == code
