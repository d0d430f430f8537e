"""The server's side of a study of a dataset: one at a time."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Protocol

import grpc

from covey_server.errors import CallError

if TYPE_CHECKING:
    from covey_server.datasets.datasets import Datasets
    from covey_server.studies.process import StudyProcesses


class _StudyRequest(Protocol):
    @property
    def dataset(self) -> str: ...
    def SerializeToString(self) -> bytes: ...  # noqa: N802 - as protobuf names it


class StudyDesk:
    """Runs studies of datasets.

    A process, not a thread: it runs at low priority and leaves a core to the calls about single learners, its memory is
    its own, and it is ended as soon as nobody waits for it.

    Args:
        datasets: what is studied.
        data_directory: where models of churn are.
        processes: run the studies.
        what: runs here, for people.
    """

    def __init__(
        self, datasets: Datasets, data_directory: Path, processes: StudyProcesses, what: str = "study of a dataset"
    ) -> None:
        self._datasets = datasets
        self._data_directory = data_directory
        self._processes = processes
        self._what = what
        self._place = Lock()

    def study(
        self,
        kind: str,
        request: _StudyRequest,
        context: grpc.ServicerContext,
        more: Mapping[str, object] | None = None,
    ) -> bytes:
        """The serialized response to a request about a dataset.

        Args:
            kind: of study.
            request: what is asked.
            context: of the call, whose end ends the study.
            more: what else the order says, as JSON.

        Raises:
            CallError: NOT_FOUND or FAILED_PRECONDITION about the dataset, RESOURCE_EXHAUSTED while another study is at
                work, INVALID_ARGUMENT with the reason why the request does not fit the events.
        """
        # The files of the order stay until the process has read them: events in order may take the place of new ones.
        with self._datasets.pinned():
            order = self._order(kind, request, more or {})
            if not self._place.acquire(blocking=False):
                raise CallError(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    f"another {self._what} is at work, and they run one at a time; call again later",
                    reason="STUDY_RUNNING",
                    retry_after_seconds=2.0,
                )
            try:
                return self._run(order, context)
            finally:
                self._place.release()

    def _order(self, kind: str, request: _StudyRequest, more: Mapping[str, object]) -> dict[str, object]:
        view = self._datasets.view(request.dataset, "dataset")
        if not view.segments:
            view.events()  # says that there are none
        return {
            **more,
            "kind": kind,
            "request": base64.b64encode(request.SerializeToString()).decode(),
            "dataset": view.name,
            "data_directory": str(self._data_directory),
            "folder": str(self._datasets.folder(view.name)),
            "segments": [asdict(segment.row) for segment in view.segments],
            "threads": max(1, (os.cpu_count() or 1) - 1),
        }

    def _run(self, order: dict[str, object], context: grpc.ServicerContext) -> bytes:
        return self._processes.run(order, context)
