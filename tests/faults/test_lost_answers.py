"""Failed but happened: a fifth of the calls is done, and its answer lost. The end is as if none had been."""

from __future__ import annotations

import itertools
from pathlib import Path
from random import Random
from typing import Any

import grpc
from findings import Finding
from server.rollout_rooms import Rooms, control_port, decided, looked
from server.running import ServedHere

from covey.v1 import analyzer_pb2, outcomes_pb2, variants_pb2
from covey.v1 import rollouts_pb2 as pb
from covey.v1.rollouts_pb2_grpc import RolloutServiceStub
from covey_server.rollouts import journal_tables

from .rounds import Bounds, bounds

LOST_SHARE = 0.2
NAMES = [f"rollouts/x{number}" for number in range(4)]


class Lossy:
    """A caller whose answers are lost for a share of the calls; then it calls again.

    Args:
        stub: of a service.
        lost_share: of the answers; the answer of a retry may be lost too.
        seed: of which.
        keeps_id: whether a retry has the request id of its first attempt, as it must.
    """

    def __init__(self, stub: Any, lost_share: float, seed: int, *, keeps_id: bool = True) -> None:
        self._stub = stub
        self._lost_share = lost_share
        self._chance = Random(seed)
        self._keeps_id = keeps_id
        self.lost_count = self.call_count = 0

    def __call__(self, method: str, request: Any) -> Any:
        """The answer; None where the call was refused."""
        self.call_count += 1
        for attempt in itertools.count():
            if attempt and not self._keeps_id:
                request.request_id += " again"
            try:
                actor = (("covey-actor", f"of-{getattr(request, 'role', '')}"),)
                answer = getattr(self._stub, method)(request, timeout=30, metadata=actor)
            except grpc.RpcError as error:
                assert error.code() in {grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.ABORTED}, error
                answer = None
            if self._chance.random() >= self._lost_share:
                return answer
            self.lost_count += 1
        raise AssertionError


def journals_after(directory: Path, calls: int, seed: int, **lossy: Any) -> tuple[dict[str, Any], Lossy]:
    """Head digests of all journals after a script of calls; times stand still, so equal calls give equal bytes."""
    rooms = Rooms(directory)
    for name in NAMES:
        rooms.create(name)
    with control_port(rooms) as port, grpc.insecure_channel(f"127.0.0.1:{port.port}") as channel:
        call = Lossy(RolloutServiceStub(channel), seed=seed, **lossy)
        _script(call, rooms, calls, seed)
    with rooms.store.read() as connection:
        heads = {name: journal_tables.head_of(connection, name) for name in NAMES}
        heads["lease"] = connection.exec_driver_sql("SELECT epoch, holder FROM leases").one()
    rooms.close()
    return heads, call


def _script(call: Lossy, rooms: Rooms, calls: int, seed: int) -> None:
    chance = Random(seed)
    ids = (f"request {number}" for number in itertools.count())
    name = NAMES[0]
    call("StartRollout", pb.StartRolloutRequest(name=name, request_id=next(ids)))
    epoch = call("AcquireLease", pb.AcquireLeaseRequest(target="analyzer", holder="a", request_id=next(ids))).epoch

    def commit() -> None:
        state = rooms.journal.state(name)
        request = pb.CommitDecisionRequest(
            name=name,
            epoch=epoch,
            expected_sequence=state.last_sequence,
            entries=decided(state, looked(weight_bp=state.candidate_weight_bp)),
            request_id=next(ids),
        )
        call("CommitDecision", request)

    for role in ("engineering", "finance"):
        call("ApproveRollout", pb.ApproveRolloutRequest(name=name, phase="canary", role=role, request_id=next(ids)))
    commit()
    for number in range(calls):
        kind = chance.randrange(12)
        common = {"name": name, "request_id": next(ids)}
        if kind < 6:
            commit()
            continue
        if kind == 6:
            call("PauseRollout", pb.PauseRolloutRequest(reason="a look", **common))
        elif kind == 7:
            call("ResumeRollout", pb.ResumeRolloutRequest(**common))
        elif kind == 8:
            call("ReportIncident", pb.ReportIncidentRequest(incident_id=f"i{number % 5}", description="slow", **common))
        elif kind == 9:
            call("ResolveIncident", pb.ResolveIncidentRequest(incident_id=f"i{number % 5}", reason="mended", **common))
        elif kind == 10:
            signed = {"phase": "full", "role": chance.choice(["engineering", "finance"]), "reason": "so be it"}
            verb = chance.choice(["Approve", "Deny"])
            call(f"{verb}Rollout", getattr(pb, f"{verb}RolloutRequest")(**signed, **common))
        else:
            request = pb.RevokeApprovalRequest(phase="full", role="engineering", reason="on second thoughts", **common)
            call("RevokeApproval", request)
    for other in NAMES:
        call("AbortRollout", pb.AbortRolloutRequest(name=other, reason="enough", request_id=next(ids)))
    commit()


def test_the_end_is_as_if_no_answer_had_been_lost(tmp_path: Path, bounds: Bounds, finding: Finding) -> None:
    calls = bounds.calls // 5
    plain, _ = journals_after(tmp_path / "plain", calls, bounds.seed, lost_share=0.0)
    lossy, call = journals_after(tmp_path / "lossy", calls, bounds.seed, lost_share=LOST_SHARE)
    assert call.lost_count > 0.15 * calls
    assert lossy == plain, "the same entries, byte for byte"
    finding(f"{call.call_count:,} calls, {call.lost_count:,} answers lost (seed {bounds.seed}): the same journals")


def test_without_the_request_id_retries_are_done_again(tmp_path: Path) -> None:
    """The twin."""
    plain, _ = journals_after(tmp_path / "plain", 60, 1, lost_share=0.0)
    doubled, call = journals_after(tmp_path / "lossy", 60, 1, lost_share=LOST_SHARE, keeps_id=False)
    assert call.lost_count
    assert doubled != plain


def test_calls_of_the_data_port(tmp_path: Path, bounds: Bounds, finding: Finding) -> None:
    """Variants, datasets and outcomes: as many as were asked for, however many answers were lost."""
    count = bounds.calls * 4 // 5 // 3
    served = ServedHere(data_directory=tmp_path / "data")
    try:
        analyzer = Lossy(served.analyzer, LOST_SHARE, bounds.seed)
        outcomes = Lossy(served.outcomes, LOST_SHARE, bounds.seed)
        for number in range(count):
            dataset = analyzer_pb2.CreateDatasetRequest(dataset_id=f"d{number}", request_id=f"dataset {number}")
            assert analyzer("CreateDataset", dataset).name == f"datasets/d{number}"
            if number % 2:
                deletion = analyzer_pb2.DeleteDatasetRequest(name=f"datasets/d{number}", request_id=f"delete {number}")
                analyzer("DeleteDataset", deletion)
            variant = variants_pb2.Variant(engine="native")
            made = analyzer_pb2.CreateVariantRequest(
                variant_id=f"v{number}", variant=variant, request_id=f"variant {number}"
            )
            assert analyzer("CreateVariant", made).name == f"variants/v{number}"
            reported = outcomes_pb2.ReportOutcomesRequest(request_id=f"outcome {number}")
            outcome = reported.outcomes.add(learner_id="ann", metric="revenue", value=1.0)
            outcome.time.FromSeconds(1_790_000_000)
            assert outcomes("ReportOutcomes", reported).stored_count == 1
        assert analyzer.lost_count > 0.1 * analyzer.call_count
        assert len(served.room.dataset_rooms.datasets.views()) == count - count // 2
        with served.room.store.read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM outcomes").scalar_one() == count
            assert connection.exec_driver_sql("SELECT count(*) FROM variants").scalar_one() == count + 2
        called = analyzer.call_count + outcomes.call_count
        lost = analyzer.lost_count + outcomes.lost_count
        finding(f"{called:,} calls, {lost:,} answers lost (seed {bounds.seed}): as many things as were asked for")
    finally:
        served.stop()


__all__ = ["bounds"]
