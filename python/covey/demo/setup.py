"""What the demonstration prepares: a plan, stored events, and the cohorts found in them."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from covey.client import Client
from covey.demo.learners import EventTable
from covey.v1 import cohorts_pb2, datasets_pb2

PLAN_NAME = "demo-plan.yaml"
DATASET_ID = "demo"
_LEARNERS_PER_CHUNK = 200
_APPEND_SECONDS = 30.0
_JOB_SECONDS = 60.0


class SetupError(RuntimeError):
    """Data or cohorts could not be made."""


def read_plan(path: Path | None, shipped: str = PLAN_NAME) -> tuple[str, str]:
    """Text and source of the plan: a file, or one that is shipped inside the package."""
    if path is not None:
        return path.read_text(encoding="utf-8"), str(path)
    return resources.files("covey.demo").joinpath(shipped).read_text(encoding="utf-8"), shipped


def store_events(client: Client, table: EventTable) -> int:
    """Stores all events in a new dataset by AppendEvents; returns how many are synced."""
    client.create_dataset(DATASET_ID, description="Generated learners of the demonstration")
    expected = len(table.time_us)
    synced = 0
    for answer in client.append_events(_append_messages(table), timeout_seconds=_APPEND_SECONDS):
        synced = answer.synced_event_count
    if synced != expected:
        raise SetupError(f"{synced} of {expected} events are stored")
    return synced


def _append_messages(table: EventTable) -> Iterator[datasets_pb2.AppendEventsRequest]:
    yield datasets_pb2.AppendEventsRequest(dataset=f"datasets/{DATASET_ID}", append_id="demo-1")
    for number, packed in enumerate(table.chunks(_LEARNERS_PER_CHUNK), start=1):
        yield datasets_pb2.AppendEventsRequest(chunk_sequence=number, packed=packed)


def discover(client: Client) -> cohorts_pb2.CohortModel:
    """Finds cohorts in the dataset by a job of the native engine; returns the model."""
    spec = datasets_pb2.DiscoverySpec(dataset=f"datasets/{DATASET_ID}", variant="variants/native", seed=0)
    job = client.discover_cohorts(spec)
    for state in client.watch_job(job.name, timeout_seconds=_JOB_SECONDS):
        job = state
    if job.state != datasets_pb2.Job.STATE_SUCCEEDED:
        raise SetupError(f"{job.name} ended {datasets_pb2.Job.State.Name(job.state)}: {job.error}")
    return client.get_cohort_model(job.cohort_model)
