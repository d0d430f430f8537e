"""Runs in which this server is a region: each in a process of its own, its answers written down before they leave."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from threading import Lock
from typing import TYPE_CHECKING, Any

import grpc

from covey.parameters import DEFAULT_TRAIT_WEIGHTS
from covey.v1 import federation_pb2
from covey_server.access.callers import caller_name
from covey_server.catalogue.parameters import checked_trait_weights, parameters_message, parameters_of
from covey_server.decoding import microseconds_of
from covey_server.errors import CallError, invalid
from covey_server.federation.messages import checked_region, checked_run, minimum_of, question_of

if TYPE_CHECKING:
    from covey_server.datasets.datasets import Datasets
    from covey_server.federation.audit import AnswerLog

MOST_RUNS = 2
_NUMBER_BYTES = 8


@dataclass(slots=True)
class _Run:
    process: subprocess.Popen[str]
    request: federation_pb2.OpenRegionRequest
    minimum: int
    public_key: bytes = b""
    regions: tuple[str, ...] = ()
    lock: Lock = field(default_factory=Lock)

    def tell(self, told: Mapping[str, object]) -> dict[str, Any]:
        """The process's answer to one line.

        Raises:
            CallError: what it refuses, or ABORTED where it is no more.
        """
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(told) + "\n")
            self.process.stdin.flush()
            # A process that was ended says nothing, or half a line.
            answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        except (BrokenPipeError, ValueError):
            raise _gone(self.request.run) from None
        if "error" in answer:
            raise CallError(
                grpc.StatusCode[answer["code"]], answer["error"], reason=answer.get("reason") or "REGION_REFUSED"
            )
        return answer

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


class RegionDesk:
    """The runs at work, at most two.

    Args:
        datasets: whose learners take part.
        log: where answers are written down.
        clock: the time, aware.
    """

    def __init__(self, datasets: Datasets, log: AnswerLog, clock: Callable[[], datetime]) -> None:
        self._datasets = datasets
        self._log = log
        self._clock = clock
        self._lock = Lock()
        self._runs: dict[str, _Run] = {}

    def open(self, request: federation_pb2.OpenRegionRequest) -> bytes:
        """The public key of this region; the same again for the same request.

        Raises:
            CallError: INVALID_ARGUMENT; NOT_FOUND or FAILED_PRECONDITION about the dataset; ALREADY_EXISTS for another
                request of the same run; RESOURCE_EXHAUSTED while two runs are at work.
        """
        # The files of the order stay until the process has read them: events in order may take the place of new ones.
        with self._datasets.pinned():
            order = self._order(request)
            run = self.begin(request)
            with run.lock:
                if not run.public_key:
                    try:
                        run.public_key = base64.b64decode(run.tell(order)["public_key"])
                    except CallError:
                        self.close(request.run)
                        raise
                return run.public_key

    def begin(self, request: federation_pb2.OpenRegionRequest) -> _Run:
        """A place for a run, and its process, which has read nothing yet.

        Raises:
            CallError: ALREADY_EXISTS, RESOURCE_EXHAUSTED; see `open`.
        """
        with self._lock:
            self._forget_ended()
            run = self._runs.get(request.run)
            if run is not None and run.request != request:
                raise CallError(
                    grpc.StatusCode.ALREADY_EXISTS,
                    f"run '{request.run}' was opened here with another request; choose another run",
                    reason="RUN_EXISTS",
                )
            if run is None:
                run = self._runs[request.run] = self._started(request)
            return run

    def join(self, request: federation_pb2.JoinRegionRequest) -> None:
        """Agree with the other regions, once.

        Raises:
            CallError: INVALID_ARGUMENT; FAILED_PRECONDITION for keys that do not fit; ABORTED where the run has ended.
        """
        for name in request.public_keys:
            checked_region(name, "public_keys")
        run = self._run(request.run)
        with run.lock:
            names = tuple(sorted(request.public_keys))
            if run.regions and run.regions != names:
                raise invalid("public_keys", "the run was joined with other regions; open another one")
            if not run.regions:
                keys = {name: base64.b64encode(key).decode() for name, key in request.public_keys.items()}
                run.tell({"join": keys})
                run.regions = names

    def ask(self, request: federation_pb2.AskRegionRequest) -> bytes:
        """The masked answer, once it is written down.

        Raises:
            CallError: INVALID_ARGUMENT; FAILED_PRECONDITION for a question that may not be asked now; ABORTED where
                the run has ended; UNAVAILABLE where the answer could not be written down.
        """
        question_of(request)
        run = self._run(request.run)
        with run.lock:
            if not run.regions:
                raise CallError(
                    grpc.StatusCode.FAILED_PRECONDITION, "join the run before it is asked", reason="NOT_JOINED"
                )
            asked = base64.b64encode(request.SerializeToString(deterministic=True)).decode()
            masked = base64.b64decode(run.tell({"ask": asked})["masked"])
            self._write_down(run, request, masked)
        return masked

    def close(self, run_id: str) -> None:
        """End a run, whether or not it is known."""
        with self._lock:
            run = self._runs.pop(run_id, None)
        if run is not None:
            run.end()

    def stop(self) -> None:
        """End all runs."""
        with self._lock:
            runs, self._runs = list(self._runs.values()), {}
        for run in runs:
            run.end()

    def _order(self, request: federation_pb2.OpenRegionRequest) -> dict[str, object]:
        view = self._datasets.view(request.dataset, "dataset")
        if not view.segments:
            view.events()  # says that there are none
        if not request.HasField("as_of"):
            raise invalid("as_of", "is required: all regions must mean the same instant")
        weights: tuple[float, ...] = DEFAULT_TRAIT_WEIGHTS
        if request.HasField("trait_weights"):
            weights = checked_trait_weights(request.trait_weights, "trait_weights")
        parameters = parameters_message(parameters_of(request.trait_parameters))
        return {
            "run": checked_run(request.run),
            "region": checked_region(request.region),
            "dataset": view.name,
            "folder": str(self._datasets.folder(view.name)),
            "segments": [asdict(segment.row) for segment in view.segments],
            "as_of_us": microseconds_of(request.as_of, "as_of"),
            "parameters": base64.b64encode(parameters.SerializeToString()).decode(),
            "trait_weights": weights,
            "minimum_group_size": minimum_of(request),
            "threads": max(1, (os.cpu_count() or 1) - 1),
        }

    def _started(self, request: federation_pb2.OpenRegionRequest) -> _Run:
        if len(self._runs) >= MOST_RUNS:
            raise CallError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"{MOST_RUNS} runs are at work in this region; close one, or call again later",
                reason="RUNS_EXHAUSTED",
                retry_after_seconds=5.0,
            )
        command = [sys.executable, "-m", "covey_server.federation.work"]
        process = subprocess.Popen(  # noqa: S603 - our own module, no shell
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        kept = federation_pb2.OpenRegionRequest()
        kept.CopyFrom(request)
        return _Run(process, kept, minimum_of(request))

    def _forget_ended(self) -> None:
        ended = [name for name, run in self._runs.items() if run.process.poll() is not None]
        for name in ended:
            self._runs.pop(name).end()

    def _run(self, run_id: str) -> _Run:
        run = self._runs.get(checked_run(run_id))
        if run is None:
            raise _gone(run_id)
        return run

    def _write_down(self, run: _Run, request: federation_pb2.AskRegionRequest, masked: bytes) -> None:
        answer = federation_pb2.RegionAnswer(
            actor=caller_name(),
            run=request.run,
            region=run.request.region,
            regions=run.regions,
            dataset=run.request.dataset,
            number=request.number,
            question=request.WhichOneof("question") or "",
            number_count=len(masked) // _NUMBER_BYTES,
            digest=hashlib.sha256(masked).hexdigest(),
            minimum_group_size=run.minimum,
        )
        answer.time.FromDatetime(self._clock())
        try:
            self._log.write(answer)
        except OSError as error:
            raise CallError(
                grpc.StatusCode.UNAVAILABLE,
                f"the answer could not be written down, so it does not leave: {error.strerror}; see to the disk",
                reason="AUDIT_UNAVAILABLE",
                retry_after_seconds=1.0,
            ) from error


def _gone(run_id: str) -> CallError:
    return CallError(
        grpc.StatusCode.ABORTED,
        f"run '{run_id[:64]}' is not at work in this region: it was closed, idle for ten minutes, or the server was"
        " started again; open another run",
        reason="RUN_ENDED",
    )
