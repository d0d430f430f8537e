"""The events of a question: sent along with it, or those that a dataset has of the learner."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from covey_server.decoding import decode_packed, decode_rows, microseconds_of
from covey_server.errors import invalid

if TYPE_CHECKING:
    from covey.v1 import analyzer_pb2
    from covey_server.decoding import EventColumns

INLINE_HISTORY_BYTE_LIMIT = 4 * 2**20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class LearnerHistories(Protocol):
    """Where the stored events of a learner come from."""

    def learner_history(self, dataset: str, learner_id: str) -> tuple[EventColumns, int]:
        """The learner's events and the time of the dataset's newest event, microseconds since the epoch.

        Raises:
            CallError: NOT_FOUND for the dataset or the learner.
        """
        ...


def history_of(
    request: analyzer_pb2.AnalyzeLearnerRequest, histories: LearnerHistories, now: datetime, path: str = ""
) -> tuple[EventColumns, int]:
    """The learner's events, and the instant to look at them, microseconds since the epoch.

    Args:
        request: the question.
        histories: events of datasets.
        now: the instant for inline events of a question that names none.
        path: of the question in its message, for violations: "" or such as "requests[3]".

    Raises:
        CallError: INVALID_ARGUMENT that names the field, or NOT_FOUND for the dataset or the learner.
    """
    prefix = f"{path}." if path else ""
    events, default_as_of_us = _events(request, histories, now, prefix)
    if not request.HasField("as_of"):
        return events, default_as_of_us
    return events, microseconds_of(request.as_of, f"{prefix}as_of")


def microseconds_since_epoch(moment: datetime) -> int:
    """Microseconds since the epoch of an aware time."""
    return (moment - _EPOCH) // _MICROSECOND


def _events(
    request: analyzer_pb2.AnalyzeLearnerRequest, histories: LearnerHistories, now: datetime, prefix: str
) -> tuple[EventColumns, int]:
    choice = request.WhichOneof("history")
    if choice == "dataset":
        return histories.learner_history(request.dataset, request.learner_id)
    if choice is None:
        raise invalid(f"{prefix}history", "is missing; send rows or packed, or name a dataset")
    byte_count = (request.packed if choice == "packed" else request.rows).ByteSize()
    if byte_count > INLINE_HISTORY_BYTE_LIMIT:
        raise invalid(
            f"{prefix}{choice}",
            f"{byte_count} bytes; an inline history has at most {INLINE_HISTORY_BYTE_LIMIT}: store a dataset "
            "(CreateDataset, AppendEvents) and name it instead",
        )
    now_us = microseconds_since_epoch(now)
    if choice == "packed":
        return decode_packed(request.packed, f"{prefix}packed"), now_us
    return decode_rows(request.rows, f"{prefix}rows"), now_us
