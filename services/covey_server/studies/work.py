"""A study in a process of its own: `python -m covey_server.studies.work`, started by the desk of the server.

Standard input brings one JSON line, the order, and then stays open: its end means that the server is gone. Standard
output carries one JSON line: {"response"} (base64 of the serialized message), or {"code", "error"} for people
with what else a refusal says.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from covey.errors import InputError
from covey_server.datasets.segments import SegmentFile
from covey_server.datasets.tables import SegmentRow
from covey_server.datasets.view import events_of
from covey_server.errors import CallError

if TYPE_CHECKING:
    from covey.events import Events

_NICENESS = 10


def answer(order: dict[str, Any]) -> bytes:
    """The serialized response.

    Raises:
        CallError: the events cannot be read, or a field of the request is out of range.
        InputError: the request does not fit the events.
    """
    if order["kind"] == "experiment":
        return _experiment(order)
    rows = [SegmentRow(**row) for row in order["segments"]]
    data = base64.b64decode(order["request"])
    threads = int(order["threads"])

    def events() -> Events:
        return events_of(order["dataset"], [SegmentFile(Path(order["folder"]), row) for row in rows])

    if order["kind"] == "retention":
        from covey.v1 import retention_pb2
        from covey_server.studies.retention import get_retention

        return get_retention(retention_pb2.GetRetentionRequest.FromString(data), events, threads).SerializeToString()
    if order["kind"] == "groups":
        from covey.v1 import together_pb2
        from covey_server.studies.groups import form

        return form(together_pb2.FormGroupsRequest.FromString(data), events, threads).SerializeToString()
    if order["kind"] == "churn":
        from covey.v1 import churn_pb2
        from covey_server.studies.churn import FOLDER, score_churn

        models = Path(order["data_directory"]) / FOLDER
        return score_churn(churn_pb2.ScoreChurnRequest.FromString(data), events, threads, models).SerializeToString()
    if order["kind"] == "candidates":
        from covey.v1 import churn_pb2
        from covey_server.studies.churn import FOLDER, candidates

        models = Path(order["data_directory"]) / FOLDER
        return candidates(churn_pb2.ScoreChurnRequest.FromString(data), events, threads, models).SerializeToString()
    if order["kind"] == "effect":
        from covey.v1 import interventions_pb2
        from covey_server.studies.effect import report_effect

        asked = interventions_pb2.ReportInterventionEffectRequest.FromString(data)
        return report_effect(asked, order["enrolments"], events).SerializeToString()
    if order["kind"] == "tuning":
        from covey.v1 import tuning_pb2
        from covey_server.studies.tuning import tune_analyzer

        return tune_analyzer(tuning_pb2.TuneAnalyzerRequest.FromString(data), events, threads).SerializeToString()
    from covey.v1 import evolution_pb2
    from covey_server.studies.evolution import get_evolution

    return get_evolution(evolution_pb2.GetEvolutionRequest.FromString(data), events, threads).SerializeToString()


def _experiment(order: dict[str, Any]) -> bytes:
    import pyarrow as pa

    from covey.v1 import experiments_pb2
    from covey_server.experiments.answered import answered
    from covey_server.experiments.asked import design_of

    request = experiments_pb2.AnalyzeExperimentRequest.FromString(base64.b64decode(order["request"]))
    design = design_of(request, tuple(order["metrics"]), order["control"], order["shares"])
    with pa.memory_map(f"/dev/fd/{order['table_file']}") as source:
        return answered(pa.ipc.open_file(source).read_all(), design).SerializeToString()


def main() -> int:
    """Serve one order; see the module's text."""
    os.nice(_NICENESS)
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    try:
        told: dict[str, Any] = {"response": base64.b64encode(answer(order)).decode()}
    except CallError as error:
        told = {"code": error.code.name, "error": error.message, "reason": error.reason}
        told |= {"violations": error.violations, "metadata": error.metadata}
    except InputError as error:
        told = {"code": "INVALID_ARGUMENT", "error": str(error)}
    except MemoryError:
        what = f"the events of {order['dataset']}" if "dataset" in order else "this table"
        problem = f"not enough memory for {what}; run on a machine with more"
        told = {"code": "RESOURCE_EXHAUSTED", "error": problem}
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    return 0


def _end_with_the_server() -> None:
    # Nothing more is sent: reading ends when the server closes the pipe, or dies.
    os.read(sys.stdin.fileno(), 1)
    os._exit(3)


if __name__ == "__main__":
    sys.exit(main())
