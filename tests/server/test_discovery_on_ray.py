"""Discoveries that a server has done by Ray: the bits of its own process, and nothing left when one is cancelled."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from programs import processes_below
from waiting import wait_until

from covey.distributed import ray_engine
from covey.v1 import analyzer_pb2, cohorts_pb2, datasets_pb2, events_pb2, traits_pb2, variants_pb2
from covey_server.config import parse

from .running import DAY_US, NATIVE, REFERENCE, ServedHere

# Ray leaves its processes to themselves at the end of an interpreter, and forks.
pytestmark = [pytest.mark.e2e, pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")]

Job = datasets_pb2.Job
Engine = datasets_pb2.DiscoverySpec.Engine
# Ray may have to be started first; a machine twenty times slower is waited for, too.
PATIENCE_SECONDS = 600.0


def append(server: ServedHere, name: str, append_id: str, learner: list[str], seed: int) -> None:
    """Ten events of each learner, in any order; ids are texts where one is no number."""
    generator = np.random.default_rng(seed)
    rows = generator.permutation(np.repeat(np.arange(len(learner)), 10))
    numbers = all(each.isdecimal() for each in learner)
    capability = generator.integers(0, 8, len(rows)) % (1 + rows % 7)
    columns: dict[str, object] = {
        "event_count": len(rows),
        "time_us": generator.integers(0, 60 * DAY_US, len(rows)).astype("<i8").tobytes(),
        "kind": generator.integers(1, 5, len(rows)).astype("u1").tobytes(),
        "capability": events_pb2.DictionaryColumn(
            values=list("abcdefgh"), indices_uint8=capability.astype("u1").tobytes()
        ),
        "domain": events_pb2.DictionaryColumn(
            values=["x", "y", "z"], indices_uint8=(capability % 3).astype("u1").tobytes()
        ),
    }
    if numbers:
        columns["learner_id_int64"] = np.array([int(each) for each in learner])[rows].astype("<i8").tobytes()
    else:
        columns["learner_id_dictionary"] = events_pb2.DictionaryColumn(
            values=learner, indices_uint16=rows.astype("<u2").tobytes()
        )
    request = datasets_pb2.AppendEventsRequest
    chunks = [
        request(dataset=name, append_id=append_id),
        request(chunk_sequence=1, packed=events_pb2.PackedEvents(**columns)),  # type: ignore[arg-type]
    ]
    assert list(server.analyzer.AppendEvents(iter(chunks), timeout=60))[-1].synced_chunk_sequence == 1


def dataset(server: ServedHere, learner_count: int = 300) -> str:
    """Three segments: of numbers, of texts, and of numbers that are among the texts of others, too."""
    created = analyzer_pb2.CreateDatasetRequest(dataset_id="course", request_id="c")
    name = server.analyzer.CreateDataset(created, timeout=10).name
    numbers = [str(number) for number in range(learner_count)]
    append(server, name, "a", numbers, 1)
    append(server, name, "b", ["ada", "grace", *numbers[: learner_count // 2]], 2)
    append(server, name, "c", numbers[learner_count // 3 :], 3)
    return name


def begun(server: ServedHere, request_id: str, **spec: object) -> Job:
    """A discovery that was asked for."""
    request = analyzer_pb2.DiscoverCohortsRequest(
        spec=datasets_pb2.DiscoverySpec(**spec),  # type: ignore[arg-type]
        request_id=request_id,
    )
    job: Job = server.analyzer.DiscoverCohorts(request, timeout=10)
    return job


def watched_to_its_end(server: ServedHere, job: Job) -> list[Job]:
    watch = analyzer_pb2.WatchJobRequest(name=job.name)
    return list(server.analyzer.WatchJob(watch, timeout=PATIENCE_SECONDS))


def discovered(server: ServedHere, request_id: str, **spec: object) -> tuple[list[Job], cohorts_pb2.CohortModel]:
    """What a watcher saw, and the model."""
    watched = watched_to_its_end(server, begun(server, request_id, **spec))
    assert watched[-1].state == Job.STATE_SUCCEEDED, watched[-1].error
    model = server.analyzer.GetCohortModel(analyzer_pb2.GetCohortModelRequest(name=watched[-1].cohort_model))
    return watched, model


def findings(model: cohorts_pb2.CohortModel) -> bytes:
    """All that two discoveries of the same have in common."""
    same = cohorts_pb2.CohortModel()
    same.CopyFrom(model)
    same.ClearField("name")
    same.ClearField("create_time")
    return same.SerializeToString(deterministic=True)


def refusal(server: ServedHere, request_id: str, **spec: object) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as refused:
        begun(server, request_id, **spec)
    return refused.value.code(), refused.value.details()


def titles(processes: list[int]) -> list[bytes]:
    """Command lines of those that live, whoever their parent is by now."""
    found = []
    for process in processes:
        with contextlib.suppress(OSError):
            found.append(Path(f"/proc/{process}/cmdline").read_bytes())
    return found


@pytest.fixture
def cluster_address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Of a Ray cluster of two workers."""
    # A machine twenty times slower is waited for, too: Ray gives up by itself after half a minute.
    monkeypatch.setattr(ray_engine, "MOST_STARTS", 20)
    with ray_engine.connected(None, 2, 128 << 20) as ray:
        yield ray.get_runtime_context().gcs_address


def test_ray_finds_the_bits_that_one_process_finds(
    start_server: Callable[..., ServedHere], cluster_address: str, tmp_path: Path
) -> None:
    server = start_server(ray_address=cluster_address, ray_folder=tmp_path / "seen-by-all")
    name = dataset(server)
    _, before = discovered(server, "r0", dataset=name, variant=NATIVE, cohort_count=3)
    spec = {"dataset": name, "variant": NATIVE, "seed": 5, "previous_model": before.name}
    watched, here = discovered(server, "r1", **spec, engine=Engine.ENGINE_PROCESS)
    assert watched[-1].spec.engine == Engine.ENGINE_PROCESS
    watched, there = discovered(server, "r2", **spec, engine=Engine.ENGINE_RAY)
    assert findings(there) == findings(here)
    assert (there.learner_count, there.event_count) == (302, 6520)
    assert 0 < there.quality.agreement < 1
    assert [step.progress for step in watched] == sorted(step.progress for step in watched)
    assert {"export", "parting", "traits", "silhouette", "k-means", "agreement"} <= {step.step for step in watched}
    # Events are outside the data directory only while they are needed.
    assert not [path for path in (tmp_path / "seen-by-all").rglob("*") if path.is_file()]


def test_a_cancelled_discovery_leaves_no_ray_behind(start_server: Callable[..., ServedHere]) -> None:
    server = start_server(ray_address="local")
    name = dataset(server)
    job = begun(server, "r", dataset=name, variant=NATIVE, engine=Engine.ENGINE_RAY)

    def started() -> list[int]:
        processes = processes_below(os.getpid())
        return list(processes) if any(b"raylet" in title for title in processes.values()) else []

    processes = wait_until(started, PATIENCE_SECONDS)
    cancel = analyzer_pb2.CancelJobRequest(name=job.name, request_id="x")
    assert server.analyzer.CancelJob(cancel, timeout=60).state == Job.STATE_CANCELLED
    wait_until(lambda: not any(b"ray" in title for title in titles(processes)), PATIENCE_SECONDS)
    assert not list(server.room.config.data_directory.glob("ray-*/**/*.parquet"))


def test_what_ray_cannot_do_is_refused(start_server: Callable[..., ServedHere]) -> None:
    without = start_server()
    name = dataset(without, 6)
    code, words = refusal(without, "r1", dataset=name, variant=NATIVE, engine=Engine.ENGINE_RAY)
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "--ray-address" in words
    assert refusal(without, "r2", dataset=name, engine=7)[0] is grpc.StatusCode.INVALID_ARGUMENT
    _, model = discovered(without, "r3", dataset=name, variant=NATIVE, cohort_count=2)
    without.stop()
    server = start_server(ray_address="local", data_directory=without.room.config.data_directory)
    code, words = refusal(server, "r4", dataset=name, variant=REFERENCE, engine=Engine.ENGINE_RAY)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "spec.engine" in words and "native" in words
    others = traits_pb2.TraitParameters()
    others.CopyFrom(model.trait_parameters)
    others.frequency_window_days = 14
    variant = variants_pb2.Variant(name="variants/fortnight", engine="native", trait_parameters=others)
    server.analyzer.CreateVariant(
        analyzer_pb2.CreateVariantRequest(variant_id="fortnight", variant=variant, request_id="v")
    )
    code, words = refusal(
        server,
        "r5",
        dataset=name,
        variant="variants/fortnight",
        previous_model=model.name,
        engine=Engine.ENGINE_RAY,
    )
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "spec.previous_model" in words and "ENGINE_PROCESS" in words


def test_a_ray_that_does_not_answer_is_named(start_server: Callable[..., ServedHere]) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        server = start_server(ray_address=address)
        job = begun(server, "r", dataset=dataset(server, 6), variant=NATIVE, engine=Engine.ENGINE_RAY)
        ended = watched_to_its_end(server, job)[-1]
    assert ended.state == Job.STATE_FAILED
    assert address in ended.error and "ray status" in ended.error


def test_a_server_without_ray_says_so_at_its_start(monkeypatch: pytest.MonkeyPatch, capsys, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("covey_server.config.find_spec", lambda name: None)
    with pytest.raises(SystemExit) as ended:
        parse(["--data-directory", str(tmp_path), "--ray-address", "local"], {})
    assert ended.value.code == 2
    assert "pip install 'covey[ray]'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parse(["--data-directory", str(tmp_path), "--ray-folder", "/shared"], {})
    assert "--ray-address" in capsys.readouterr().err
