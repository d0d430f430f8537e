"""Entries of controllers that nobody can have seen are refused before the journal keeps them."""

from __future__ import annotations

import math
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from covey.v1 import evidence_pb2, journal_pb2
from covey.v1.rollouts_pb2 import CommitDecisionRequest
from covey_server.errors import CallError
from covey_server.rollouts.requests import check_decision


def reading(**changes: Any) -> list[evidence_pb2.ReplicaReading]:
    counters: dict[str, Any] = {"variant": "variants/native", "request_count": 5, "error_count": 1}
    return [evidence_pb2.ReplicaReading(replica="a", variants=[evidence_pb2.VariantCounters(**counters | changes)])]


def problem_of(**payload: Any) -> str:
    with pytest.raises(CallError) as caught:
        check_decision(CommitDecisionRequest(entries=[journal_pb2.Entry(**payload)]))
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    ((field, description),) = caught.value.violations
    assert field == "entries[0]"
    return description


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"observed": Duration(seconds=-5)}, "observed -5 s"),
        ({"observed": Duration(seconds=2**61)}, "observed"),
        ({"observed_at": Timestamp(seconds=2**62)}, "observed_at is not a time"),
        ({"readings": reading(error_count=-1)}, "readings[0].variants[0].error_count is -1"),
        ({"outcomes": [evidence_pb2.OutcomeMoments(metric="revenue", sum=math.nan)]}, "outcomes[0].sum is nan"),
    ],
)
def test_a_tick_that_nobody_can_have_seen_is_refused(changes: dict[str, Any], said: str) -> None:
    assert said in problem_of(tick=journal_pb2.Tick(**changes))


def test_a_cause_that_nobody_knows_is_refused() -> None:
    started = journal_pb2.RollbackStarted(cause=77)  # type: ignore[arg-type]
    assert "77 is no cause" in problem_of(rollback_started=started)


def test_a_tick_as_controllers_send_it_is_accepted() -> None:
    moments = evidence_pb2.OutcomeMoments(metric="revenue", sum=-3.5, center=-1.0)
    tick = journal_pb2.Tick(observed=Duration(seconds=30), observed_at=Timestamp(seconds=1), readings=reading())
    tick.outcomes.append(moments)
    check_decision(CommitDecisionRequest(entries=[journal_pb2.Entry(tick=tick)]))
