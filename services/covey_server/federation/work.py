"""The learners of a region in a process of its own: `python -m covey_server.federation.work`, started by the server.

A process, not a thread: it runs at low priority, its memory goes with it, and the keys of a run are in nobody else's.
Standard input brings one JSON line, the order, and then one line for each request: {"join"} or {"ask"}. Standard output
answers each with a line: {"public_key"}, {}, {"masked"} or {"error"}. It ends with the input, or after ten minutes
without a request, so that a coordinator that never comes back holds no learners in memory.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import select
import sys
from pathlib import Path
from typing import Any

from covey.errors import InputError
from covey.federation import Keyring, RegionSession
from covey.parts import LocalPart
from covey.v1 import federation_pb2, traits_pb2
from covey_server.catalogue.parameters import parameters_of
from covey_server.datasets.segments import SegmentFile
from covey_server.datasets.tables import SegmentRow
from covey_server.datasets.view import events_of
from covey_server.errors import CallError
from covey_server.federation.messages import question_of

_NICENESS = 10
_IDLE_SECONDS = 600.0


class RegionAtWork:
    """One region in one run.

    Args:
        order: as the server sends it.

    Raises:
        CallError: the events cannot be read.
        InputError: there are too few learners.
    """

    def __init__(self, order: dict[str, Any]) -> None:
        rows = [SegmentRow(**row) for row in order["segments"]]
        events = events_of(order["dataset"], [SegmentFile(Path(order["folder"]), row) for row in rows])
        parameters = parameters_of(traits_pb2.TraitParameters.FromString(base64.b64decode(order["parameters"])))
        traits = events.traits(order["as_of_us"], parameters, "native", order["threads"])
        del events
        part = LocalPart(traits.matrix, traits.learner_ids.hashes(), tuple(order["trait_weights"]), order["threads"])
        self._keyring = Keyring(order["region"], order["run"])
        self._session = RegionSession(part, self._keyring, order["minimum_group_size"])

    @property
    def public_key(self) -> bytes:
        """For the other regions."""
        return self._keyring.public_key

    def answer(self, request: dict[str, Any]) -> dict[str, str]:
        """The answer to one line.

        Raises:
            CallError: a field is out of range.
            InputError: the request does not fit the run.
        """
        if "join" in request:
            self._keyring.join({name: base64.b64decode(key) for name, key in request["join"].items()})
            return {}
        asked = base64.b64decode(request["ask"])
        question = federation_pb2.AskRegionRequest.FromString(asked)
        digest = hashlib.sha256(asked).digest()
        numbers = self._session.answer(question.number, digest, question_of(question))
        return {"masked": base64.b64encode(numbers.astype("<u8").tobytes()).decode()}


def main() -> int:
    """Serve one run; see the module's text."""
    os.nice(_NICENESS)
    region: RegionAtWork | None = None
    # Between a line and its answer nothing else is sent, so that nothing waits in the reader's buffer.
    while select.select([sys.stdin], [], [], _IDLE_SECONDS)[0] and (line := sys.stdin.readline()):
        try:
            if region is None:
                region = RegionAtWork(json.loads(line))
                told = {"public_key": base64.b64encode(region.public_key).decode()}
            else:
                told = region.answer(json.loads(line))
        except CallError as error:
            told = {"code": error.code.name, "error": error.message, "reason": error.reason}
        except InputError as error:
            told = {"code": "FAILED_PRECONDITION", "error": str(error)}
        except MemoryError:
            told = {"code": "RESOURCE_EXHAUSTED", "error": "not enough memory for the learners of this region"}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        if region is None:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
