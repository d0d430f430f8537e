"""What left the region, written down and synced before it leaves: one line of JSON for each answer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from google.protobuf.json_format import MessageToDict, ParseDict

from covey.v1 import federation_pb2

if TYPE_CHECKING:
    from io import BufferedRandom

FOLDER = "federation"
_FILE = "answers.jsonl"


class AnswerLog:
    """Answers in the order in which they were given.

    Args:
        data_directory: of the server.
    """

    def __init__(self, data_directory: Path) -> None:
        self._path = data_directory / FOLDER / _FILE
        self._lock = Lock()

    def write(self, answer: federation_pb2.RegionAnswer) -> None:
        """Append an answer; it is on the disk when this returns.

        Raises:
            OSError: it could not be written; the answer must not leave.
        """
        line = json.dumps(MessageToDict(answer, preserving_proto_field_name=True), ensure_ascii=False) + "\n"
        with self._lock:
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            with self._path.open("a+b") as file:
                _end_torn_line(file)
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())

    def newest(self, run: str = "") -> Iterator[federation_pb2.RegionAnswer]:
        """From the last one back; a line that a crash tore is none."""
        with self._lock:
            lines = self._path.read_bytes().splitlines() if self._path.exists() else []
        for line in reversed(lines):
            try:
                answer = ParseDict(json.loads(line), federation_pb2.RegionAnswer())
            except ValueError:
                continue
            if not run or answer.run == run:
                yield answer


def _end_torn_line(file: BufferedRandom) -> None:
    """What follows half a line, which a crash left, must not become part of it."""
    if file.seek(0, os.SEEK_END):
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")
