"""The server's side of a study: one at a time, in a process of its own that ends with its call."""

from __future__ import annotations

import base64
import json
import logging
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Protocol

import grpc

from covey_server.errors import CallError

if TYPE_CHECKING:
    from covey_server.datasets.datasets import Datasets

_log = logging.getLogger("covey_server.studies")

_STDERR_TAIL_BYTES = 4000


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
    """

    def __init__(self, datasets: Datasets, data_directory: Path) -> None:
        self._datasets = datasets
        self._data_directory = data_directory
        self._place = Lock()
        self._lock = Lock()
        self._process: subprocess.Popen[str] | None = None
        self._is_stopped = False

    def study(self, kind: str, request: _StudyRequest, context: grpc.ServicerContext) -> bytes:
        """The serialized response to a request about a dataset.

        Raises:
            CallError: NOT_FOUND or FAILED_PRECONDITION about the dataset, RESOURCE_EXHAUSTED while another study is at
                work, INVALID_ARGUMENT with the reason why the request does not fit the events.
        """
        view = self._datasets.view(request.dataset, "dataset")
        if not view.segments:
            view.events()  # says that there are none
        segments = [asdict(segment.row) for segment in view.segments]
        order = {
            "kind": kind,
            "request": base64.b64encode(request.SerializeToString()).decode(),
            "dataset": view.name,
            "data_directory": str(self._data_directory),
            "folder": str(self._datasets.folder(view.name)),
            "segments": segments,
            "threads": max(1, (os.cpu_count() or 1) - 1),
        }
        if not self._place.acquire(blocking=False):
            raise CallError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "another study of a dataset is at work, and they run one at a time; call again later",
                reason="STUDY_RUNNING",
                retry_after_seconds=2.0,
            )
        try:
            return self._run(order, context)
        finally:
            self._place.release()

    def stop(self) -> None:
        """End the study at work; further ones are refused."""
        with self._lock:
            self._is_stopped = True
        self._kill()

    def _run(self, order: dict[str, object], context: grpc.ServicerContext) -> bytes:
        with tempfile.TemporaryFile() as errors:
            command = [sys.executable, "-m", "covey_server.studies.work"]
            with self._lock:
                if self._is_stopped:
                    raise _ended()
                process = self._process = subprocess.Popen(  # noqa: S603 - our own module, no shell
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8"
                )
            with process:
                try:
                    if not context.add_callback(self._kill):  # the call ended before
                        raise _ended()
                    answer = _asked(process, order)
                finally:
                    process.kill()
            if answer is None:
                errors.seek(0, 2)
                errors.seek(max(0, errors.tell() - _STDERR_TAIL_BYTES))
                tail = errors.read().decode("utf-8", "replace")
        if answer is None:
            if not context.is_active() or self._is_stopped:
                raise _ended()
            _log.error("a study's process died", extra={"exit_code": process.returncode, "stderr": tail})
            raise CallError(
                grpc.StatusCode.INTERNAL,
                f"the process of the study ended early (status {process.returncode}); the server's log says more",
                reason="STUDY_DIED",
            )
        if "error" in answer:
            reason = answer.get("reason") or "STUDY_REFUSED"
            raise CallError(grpc.StatusCode[answer["code"]], answer["error"], reason=reason)
        return base64.b64decode(answer["response"])

    def _kill(self) -> None:
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                self._process.kill()


def _asked(process: subprocess.Popen[str], order: dict[str, object]) -> dict[str, str] | None:
    """The one line that comes back; None where the process ended without."""
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        return None
    line = process.stdout.readline()
    try:
        answer: dict[str, str] = json.loads(line)
    except json.JSONDecodeError:
        return None
    return answer


def _ended() -> CallError:
    return CallError(grpc.StatusCode.CANCELLED, "the call ended before its study", reason="STUDY_ENDED")
