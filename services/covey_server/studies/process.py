"""A process for one study: it runs at low priority, its memory is its own, and it ends as soon as nobody waits."""

from __future__ import annotations

import base64
import json
import logging
import os
import subprocess
import sys
import tempfile
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO

import grpc

from covey_server.errors import CallError

if TYPE_CHECKING:
    import pyarrow as pa

_log = logging.getLogger("covey_server.studies")

_STDERR_TAIL_BYTES = 4000
REFUSED = "STUDY_REFUSED"


class StudyProcesses:
    """Runs orders, each in a process of its own."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._is_stopped = False

    def stop(self) -> None:
        """End what is at work; further orders are refused."""
        with self._lock:
            self._is_stopped = True
            for process in self._running:
                process.kill()

    def run(self, order: dict[str, object], context: grpc.ServicerContext, table: BinaryIO | None = None) -> bytes:
        """The serialized response.

        Args:
            order: JSON for `covey_server.studies.work`.
            context: of the call; its end ends the process.
            table: a file of `in_memory`; the order gets its number as "table_file".

        Raises:
            CallError: as the study says, with the reason STUDY_REFUSED where the request does not fit the data;
                CANCELLED where the call ended; INTERNAL where the process died.
        """
        files = () if table is None else (table.fileno(),)
        with tempfile.TemporaryFile() as errors:
            command = [sys.executable, "-m", "covey_server.studies.work"]
            with self._lock:
                if self._is_stopped:
                    raise _ended()
                process = subprocess.Popen(  # noqa: S603 - our own module, no shell
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8",
                    pass_fds=files,
                )  # fmt: skip
                self._running.add(process)
            with process:
                try:
                    if not context.add_callback(lambda: self._kill(process)):  # the call ended before
                        raise _ended()
                    answer = _asked(process, order | ({"table_file": files[0]} if files else {}))
                finally:
                    with self._lock:
                        self._running.discard(process)
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
            raise CallError(
                grpc.StatusCode[answer["code"]],
                answer["error"],
                violations=[(field, description) for field, description in answer.get("violations", ())],
                reason=answer.get("reason") or REFUSED,
                metadata=answer.get("metadata"),
            )
        return base64.b64decode(answer["response"])

    def _kill(self, process: subprocess.Popen[str]) -> None:
        with self._lock:
            if process in self._running:
                process.kill()


def in_memory(table: pa.Table) -> BinaryIO:
    """A table as an Arrow file without a name, in memory, that a process may be given."""
    import pyarrow as pa

    file: BinaryIO = os.fdopen(os.memfd_create("covey-study"), "w+b")
    # Arrow closes what it writes to.
    with (
        os.fdopen(os.dup(file.fileno()), "wb") as copy,
        pa.PythonFile(copy, "w") as sink,
        pa.ipc.new_file(sink, table.schema) as writer,
    ):
        writer.write_table(table)
    return file


def _asked(process: subprocess.Popen[str], order: dict[str, object]) -> dict[str, Any] | None:
    """The one line that comes back; None where the process ended without."""
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        return None
    line = process.stdout.readline()
    try:
        answer: dict[str, Any] = json.loads(line)
    except json.JSONDecodeError:
        return None
    return answer


def _ended() -> CallError:
    return CallError(grpc.StatusCode.CANCELLED, "the call ended before its study", reason="STUDY_ENDED")
