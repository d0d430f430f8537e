"""Discovery jobs: queued in the store, worked off one after the other, followed by whoever attaches."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from threading import Condition, Thread
from typing import TYPE_CHECKING

import grpc

from covey.v1 import analyzer_pb2, cohorts_pb2, datasets_pb2
from covey_server.catalogue.names import checked_name, page_size_of, page_start_of, page_token_after
from covey_server.errors import CallError, invalid, not_found
from covey_server.jobs import store as stored
from covey_server.jobs.process import DiscoveryFailedError, DiscoveryProcess
from covey_server.jobs.spec import process_request, resolved
from covey_server.store import check_request_id, commit_once

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from covey_server.catalogue.catalogue import Catalogue
    from covey_server.datasets.datasets import Datasets
    from covey_server.jobs.order import RayCluster
    from covey_server.store import Store

_log = logging.getLogger("covey_server.jobs")

Job = datasets_pb2.Job
_CANCEL_SECONDS = 10.0
_LOOK_SECONDS = 1.0
_RETRY_SECONDS = 1.0


class Jobs:
    """The jobs of this server. One runs at a time, in a process of low priority, on all cores but one.

    A job that ran when the server went down runs again from its beginning: it is deterministic. Cancelling kills the
    process, which takes no longer than the kernel needs to end it.

    Args:
        store: an open store whose tables exist.
        catalogue: names variants, keeps the models found.
        datasets: what is worked on.
        clock: the time, aware.
        unfinished_limit: jobs that may wait or run; more are refused.
        threads: of the native engine; by default one per processor but one.
        model_suffix: of the names of models, where other servers keep theirs in the same catalogue.
        cluster: of Ray, with a folder of this server's own; None: discoveries on Ray are refused.
    """

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        datasets: Datasets,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        unfinished_limit: int = 16,
        threads: int | None = None,
        model_suffix: str = "",
        cluster: RayCluster | None = None,
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._datasets = datasets
        self._clock = clock
        self._unfinished_limit = unfinished_limit
        self._threads = threads or max(1, len(os.sched_getaffinity(0)) - 1)
        self._model_suffix = model_suffix
        self._cluster = cluster
        if cluster is not None:
            _remove(cluster.folder)  # of a job that ran when the server was killed
        self._changed = Condition()
        self._stopping = False
        self._cancelled: set[str] = set()
        self._process: tuple[str, DiscoveryProcess] | None = None
        with store.read() as connection:
            waiting = stored.unfinished(connection)
        # Unfinished jobs by name, oldest first; messages in it are replaced, never changed.
        self._live = {job.name: _with(job, state=Job.STATE_QUEUED, progress=0.0, step="") for job in waiting}
        self._worker = Thread(target=self._work, name="jobs", daemon=True)
        self._worker.start()

    def discover(self, request: analyzer_pb2.DiscoverCohortsRequest) -> datasets_pb2.Job:
        """Queue a discovery; a retry with the same request id returns the same job.

        The variant and the instant are fixed now, so that a job that runs again finds the same.

        Raises:
            CallError: INVALID_ARGUMENT; NOT_FOUND for what the spec names; FAILED_PRECONDITION for an empty dataset;
                RESOURCE_EXHAUSTED while too many jobs wait.
        """
        check_request_id(request.request_id)

        def run(connection: Connection) -> bytes:
            spec = resolved(request.spec, self._catalogue, self._datasets, connection, self._cluster)
            job = Job(state=Job.STATE_QUEUED, spec=spec)
            job.create_time.FromDatetime(self._clock())
            if len(stored.unfinished(connection)) >= self._unfinished_limit:
                raise CallError(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    f"{self._unfinished_limit} jobs wait or run already; wait for one (WatchJob) or cancel one",
                    reason="TOO_MANY_JOBS",
                    retry_after_seconds=10.0,
                )
            stored.add(connection, job)
            self._store.after_commit(connection, lambda: self._show(job))
            return job.SerializeToString()

        return Job.FromString(commit_once(self._store, request, run, self._clock()))

    def get(self, name: str) -> datasets_pb2.Job:
        """The job as it is now.

        Raises:
            CallError: INVALID_ARGUMENT for a name of another form, NOT_FOUND.
        """
        found = self._live.get(name)
        if found is not None:
            return found
        number = stored.number_of(checked_name("name", name, "jobs"))
        with self._store.read() as connection:
            job = stored.load(connection, number) if number is not None else None
        if job is None:
            raise not_found(name, "ListJobs shows the jobs of late")
        return job

    def list(self, request: analyzer_pb2.ListJobsRequest) -> analyzer_pb2.ListJobsResponse:
        """A page of jobs, newest first."""
        size, start = page_size_of(request), page_start_of(request)
        if start is not None and not start.isdecimal():
            raise invalid("page_token", "not a token of this list; use next_page_token of the answer before")
        with self._store.read() as connection:
            found = stored.page(connection, None if start is None else int(start), size + 1)
        token = page_token_after(str(stored.number_of(found[size - 1].name))) if len(found) > size else ""
        current = [self._live.get(job.name, job) for job in found[:size]]
        return analyzer_pb2.ListJobsResponse(jobs=current, next_page_token=token)

    def watch(self, name: str, context: grpc.ServicerContext) -> Iterator[datasets_pb2.Job]:
        """The job now and at every change, until it is finished.

        Raises:
            CallError: as `get`; UNAVAILABLE when the server stops: attach again later.
        """
        context.add_callback(self._notify)
        before: datasets_pb2.Job | None = None
        while True:
            job = self.get(name)
            if job != before:
                yield job
                before = job
            if job.state in stored.FINISHED or not context.is_active():
                return
            with self._changed:
                if self._stopping:
                    raise CallError(
                        grpc.StatusCode.UNAVAILABLE,
                        f"the server is stopping; {name} goes on when it is back: watch it again then",
                        reason="STOPPING",
                        retry_after_seconds=1.0,
                    )
                if self._live.get(name) is job:
                    self._changed.wait(_LOOK_SECONDS)

    def cancel(self, request: analyzer_pb2.CancelJobRequest) -> datasets_pb2.Job:
        """Cancel a job; one that was cancelled before stays so.

        Raises:
            CallError: as `get`; FAILED_PRECONDITION for a job that has finished otherwise.
        """
        check_request_id(request.request_id)
        job = self.get(request.name)
        with self._changed:
            if job.name in self._live:
                self._cancelled.add(job.name)
                if self._process is not None and self._process[0] == job.name:
                    self._process[1].kill()
                self._changed.notify_all()
                self._changed.wait_for(lambda: job.name not in self._live or self._stopping, _CANCEL_SECONDS)
        job = self.get(request.name)
        if job.state == Job.STATE_CANCELLED:
            return job
        if job.state not in stored.FINISHED:
            raise CallError(
                grpc.StatusCode.UNAVAILABLE, f"{job.name} is not cancelled yet; try again", retry_after_seconds=1.0
            )
        raise CallError(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"{job.name} is {Job.State.Name(job.state).removeprefix('STATE_')} already; there is nothing to cancel",
            reason="JOB_FINISHED",
            metadata={"resource": job.name},
        )

    def stop(self) -> None:
        """End the process that runs; its job runs again after the next start."""
        with self._changed:
            self._stopping = True
            if self._process is not None:
                self._process[1].kill()
            self._changed.notify_all()
        self._worker.join(_CANCEL_SECONDS)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._live)
                if self._stopping:
                    return
                job = next(iter(self._live.values()))
                process = DiscoveryProcess()
                self._process = (job.name, process)
                if job.name in self._cancelled:
                    process.kill()
            try:
                self._run(job, process)
            except Exception:
                _log.exception("what became of a job is not stored; trying again", extra={"job": job.name})
                with self._changed:
                    self._changed.wait_for(lambda: self._stopping, _RETRY_SECONDS)

    def _run(self, queued: datasets_pb2.Job, process: DiscoveryProcess) -> None:
        started = time.monotonic()
        running = _with(queued, state=Job.STATE_RUNNING)
        running.elapsed.FromNanoseconds(0)
        self._store.group_commit(lambda connection: stored.save(connection, running))
        self._show(running)

        def report(step: str, progress: float) -> None:
            job = _with(self._live[running.name], step=step, progress=progress)
            job.elapsed.FromNanoseconds(round((time.monotonic() - started) * 1e9))
            self._show(job)

        model: cohorts_pb2.CohortModel | None = None
        error = ""
        try:
            # The files of the manifest that the process gets stay until it has read them.
            with self._datasets.pinned():
                request = process_request(
                    running, self._catalogue, self._datasets, self._threads, self._model_suffix, self._cluster
                )
                try:
                    model = process.run(request, report)
                finally:
                    if request.ray is not None:
                        _remove(request.ray.folder)
            model.create_time.FromDatetime(self._clock())
        except (DiscoveryFailedError, CallError) as failure:
            error = str(failure)
        except Exception:
            _log.exception("a discovery could not be run", extra={"job": running.name})
            error = "the discovery could not be run; the server's log says why"
        with self._changed:
            if self._stopping and model is None:
                return
            self._process = None
            cancelled = running.name in self._cancelled
        state = Job.STATE_CANCELLED if cancelled else Job.STATE_SUCCEEDED if model else Job.STATE_FAILED
        job = _with(self._live[running.name], state=state, error=error if state == Job.STATE_FAILED else "")
        job.elapsed.FromNanoseconds(round((time.monotonic() - started) * 1e9))
        job.finish_time.FromDatetime(self._clock())
        if state == Job.STATE_SUCCEEDED and model is not None:
            job.progress, job.step, job.cohort_model = 1.0, "", model.name
        self._store.group_commit(lambda connection: self._finish(connection, job, model))

    def _finish(self, connection: Connection, job: datasets_pb2.Job, model: cohorts_pb2.CohortModel | None) -> None:
        if stored.save(connection, job) and job.state == Job.STATE_SUCCEEDED and model is not None:
            self._catalogue.add_cohort_model(model, connection)
        self._store.after_commit(connection, lambda: self._hide(job.name))

    def _show(self, job: datasets_pb2.Job) -> None:
        with self._changed:
            self._live = {**self._live, job.name: job}
            self._changed.notify_all()

    def _hide(self, name: str) -> None:
        with self._changed:
            self._live = {known: job for known, job in self._live.items() if known != name}
            self._cancelled.discard(name)
            self._changed.notify_all()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()


def _remove(folder: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _with(
    job: datasets_pb2.Job,
    *,
    state: datasets_pb2.Job.State.ValueType | None = None,
    step: str | None = None,
    progress: float | None = None,
    error: str | None = None,
) -> datasets_pb2.Job:
    """A copy with some fields set."""
    copy = Job()
    copy.CopyFrom(job)
    if state is not None:
        copy.state = state
    if step is not None:
        copy.step = step
    if progress is not None:
        copy.progress = progress
    if error is not None:
        copy.error = error
    return copy
