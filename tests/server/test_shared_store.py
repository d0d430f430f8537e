"""Several servers over one PostgreSQL: one journal, one split, one lease, whoever is asked."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import grpc
import pytest
from waiting import wait_until

from covey.rollout import chain
from covey.v1 import analyzer_pb2, journal_pb2, rollouts_pb2
from covey_server.backup.making import make_backup
from covey_server.rollouts.journal_sharing import Neighbours
from covey_server.store import StoreError, open_store
from covey_server.wiring import wall_clock

from .postgres import Cluster
from .running import NATIVE, REFERENCE, ServedHere, ServerProcess, Stubs, question
from .store_notes import texts, write_note
from .test_rollout_moves_traffic import NAME, begin, enter

Pair = tuple[ServedHere, ServedHere]

# Other servers look four times a second, and a weight is in force a second after its commit.
# The rest is for a busy machine.
PICKED_UP_SECONDS = 10.0


def weight(server: Stubs) -> float:
    """The candidate's share as this server applies it; 0 before it has heard of the rollout."""
    return server.samples("covey_rollout_weight_ratio", rollout=NAME).get((), 0.0)


def sequence_at(server: ServedHere) -> int:
    """The last entry of the journal that the server knows of; 0 where it knows of none."""
    return next((state.last_sequence for state in server.room.journal.active() if state.name == NAME), 0)


def journal_of(server: ServedHere) -> list[journal_pb2.Entry]:
    request = rollouts_pb2.ListEntriesRequest(parent=NAME, page_size=1000)
    return list(server.rollouts.ListEntries(request, timeout=30).entries)


def test_a_weight_is_in_force_everywhere_and_splits_alike(pair: Pair) -> None:
    here, there = pair
    entered = enter(here, begin(here, 0.5))
    assert entered.candidate_weight_bp == 5000
    wait_until(lambda: weight(there) == weight(here) == 0.5, PICKED_UP_SECONDS)
    served = [
        [server.analyzer.AnalyzeLearner(question(str(learner)), timeout=30).variant for learner in range(60)]
        for server in pair
    ]
    assert served[0] == served[1]
    assert set(served[0]) == {REFERENCE, NATIVE}


def test_what_one_server_commits_is_picked_up_by_the_other_within_a_second(pair: Pair) -> None:
    here, there = pair
    begin(here, 0.5)
    waits = []
    for turn in range(5):
        pause = rollouts_pb2.PauseRolloutRequest(name=NAME, request_id=f"p{turn}")
        written = here.rollouts.PauseRollout(pause, timeout=30).rollout.last_sequence
        commit = time.monotonic()
        wait_until(lambda: sequence_at(there) >= written, PICKED_UP_SECONDS)  # noqa: B023 - waited for here
        waits.append(time.monotonic() - commit)
        here.rollouts.ResumeRollout(rollouts_pb2.ResumeRolloutRequest(name=NAME, request_id=f"r{turn}"), timeout=30)
    assert median(waits) < 1.0, waits


def test_without_a_look_the_other_server_stays_behind(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = pair
    monkeypatch.setattr(Neighbours, "are_ahead", lambda _: False)
    enter(here, begin(here, 0.5))
    wait_until(lambda: weight(here) == 0.5, PICKED_UP_SECONDS)
    assert there.room.board.latest() is None
    # A mutation looks for itself, however long the follower would take.
    there.rollouts.PauseRollout(rollouts_pb2.PauseRolloutRequest(name=NAME, request_id="p"), timeout=30)
    assert there.room.board.latest() == here.room.board.latest()


def test_an_abort_at_one_server_takes_the_weight_from_both(pair: Pair) -> None:
    here, there = pair
    enter(here, begin(here, 1.0))
    wait_until(lambda: weight(there) == 1.0, PICKED_UP_SECONDS)
    there.rollouts.AbortRollout(rollouts_pb2.AbortRolloutRequest(name=NAME, reason="r", request_id="a"), timeout=30)
    assert weight(there) == 0.0
    wait_until(lambda: weight(here) == 0.0, PICKED_UP_SECONDS)


def test_verbs_at_both_servers_make_one_journal(pair: Pair) -> None:
    begin(pair[0], 0.5)

    def work(number: int) -> None:
        server = pair[number % 2]
        incident = rollouts_pb2.ReportIncidentRequest(
            name=NAME, incident_id=f"i{number}", description="d", request_id=f"r{number}"
        )
        server.rollouts.ReportIncident(incident, timeout=60)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(40)))
    wait_until(lambda: sequence_at(pair[0]) == sequence_at(pair[1]), PICKED_UP_SECONDS)
    entries = journal_of(pair[0])
    assert entries == journal_of(pair[1])
    assert [entry.sequence for entry in entries] == list(range(1, len(entries) + 1))
    assert {entry.incident_reported.incident_id for entry in entries[2:]} == {f"i{number}" for number in range(40)}
    digest = chain.first_digest(NAME)
    for entry in entries:
        assert entry.previous_digest == digest
        digest = chain.next_digest(digest, entry.SerializeToString(deterministic=True))


def test_a_request_is_remembered_by_all_servers(pair: Pair) -> None:
    begin(pair[0], 0.5)
    request = rollouts_pb2.PauseRolloutRequest(name=NAME, reason="once", request_id="the same")
    answers = [server.rollouts.PauseRollout(request, timeout=30) for server in pair]
    assert answers[0] == answers[1]
    assert [entry.WhichOneof("payload") for entry in journal_of(pair[1])].count("paused") == 1


def test_one_lease_at_a_time_wherever_it_is_asked_for(pair: Pair) -> None:
    here, there = pair

    def acquire(server: ServedHere, holder: str, **changes: object) -> rollouts_pb2.AcquireLeaseResponse:
        request = rollouts_pb2.AcquireLeaseRequest(
            target="analyzer", holder=holder, time_to_live={"seconds": 60}, request_id=f"{time.monotonic_ns()}"
        )
        request.MergeFrom(rollouts_pb2.AcquireLeaseRequest(**changes))  # type: ignore[arg-type]
        return server.rollouts.AcquireLease(request, timeout=30)

    epoch = acquire(here, "one").epoch
    with pytest.raises(grpc.RpcError) as refused:
        acquire(there, "two")
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert acquire(there, "one").epoch == epoch
    with pytest.raises(grpc.RpcError):
        acquire(here, "two")
    acquire(here, "one", release=True)
    assert acquire(there, "two").epoch == epoch + 1
    rollout = begin(here, 0.5)
    stale = rollouts_pb2.CommitDecisionRequest(
        name=NAME,
        epoch=epoch,
        expected_sequence=rollout.last_sequence,
        entries=[journal_pb2.Entry(phase_entered={"phase": "canary", "candidate_weight_bp": 5000})],
        request_id="stale",
    )
    for server in pair:
        with pytest.raises(grpc.RpcError) as fenced:
            server.rollouts.CommitDecision(stale, timeout=30)
        assert "epoch" in fenced.value.details()


def test_variants_are_everybodys_and_datasets_are_each_servers_own(pair: Pair) -> None:
    here, there = pair
    variant = analyzer_pb2.CreateVariantRequest(variant_id="new", variant={"engine": "native"}, request_id="v")
    here.analyzer.CreateVariant(variant, timeout=30)
    assert there.analyzer.GetVariant(analyzer_pb2.GetVariantRequest(name="variants/new"), timeout=30).engine == "native"
    here.analyzer.CreateDataset(analyzer_pb2.CreateDatasetRequest(dataset_id="mine", request_id="d"), timeout=30)
    with pytest.raises(grpc.RpcError) as unknown:
        there.analyzer.GetDataset(analyzer_pb2.GetDatasetRequest(name="datasets/mine"), timeout=30)
    assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
    deleted = there.analyzer.DeleteLearner(
        analyzer_pb2.DeleteLearnerRequest(learner_id="1", request_id="x"), timeout=30
    )
    assert deleted == analyzer_pb2.DeleteLearnerResponse()


# A read that the database's end cut in two leaves its cursor behind, with a connection that nothing can be asked of.
@pytest.mark.filterwarnings("ignore:.*ServerCursor:ResourceWarning")
def test_a_restart_of_the_database_costs_only_the_calls_that_meet_it(cluster: Cluster, pair: Pair) -> None:
    here, there = pair
    begin(here, 0.5)
    cluster.stop()
    try:
        with pytest.raises(grpc.RpcError) as away:
            here.rollouts.PauseRollout(rollouts_pb2.PauseRolloutRequest(name=NAME, request_id="p"), timeout=30)
    finally:
        cluster.start()
    assert away.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "PostgreSQL" in away.value.details()
    here.rollouts.PauseRollout(rollouts_pb2.PauseRolloutRequest(name=NAME, request_id="p"), timeout=30)
    wait_until(lambda: there.room.journal.state(NAME).paused, PICKED_UP_SECONDS)


def test_a_server_that_is_killed_leaves_the_others_going(cluster: Cluster, tmp_path: Path) -> None:
    url = cluster.database()
    first = ServerProcess(tmp_path / "one", tmp_path / "one.json", ("--store-url", url))
    second = ServerProcess(tmp_path / "two", tmp_path / "two.json", ("--store-url", url))
    try:
        enter(first, begin(first, 1.0))
        first.kill()
        wait_until(lambda: weight(second) == 1.0, PICKED_UP_SECONDS)
        second.rollouts.AbortRollout(
            rollouts_pb2.AbortRolloutRequest(name=NAME, reason="r", request_id="a"), timeout=30
        )
        assert weight(second) == 0.0
        assert second.terminate() == 0
    finally:
        first.kill()
        second.kill()


def test_a_database_that_cannot_be_used_is_explained(cluster: Cluster, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="createdb"):
        open_store(tmp_path / "a", cluster.url("nowhere"))
    with pytest.raises(StoreError, match="Check that PostgreSQL runs"):
        open_store(tmp_path / "b", "postgresql://covey:secret@127.0.0.1:1/covey")


def test_a_backup_of_what_is_shared_is_refused_with_the_remedy(cluster: Cluster, tmp_path: Path) -> None:
    url = cluster.database()
    open_store(tmp_path / "data", url).close()
    with pytest.raises(StoreError, match="pg_dump"):
        make_backup(tmp_path / "data", tmp_path / "backup", wall_clock(), url)
    assert not (tmp_path / "backup").exists()


def test_mutations_of_two_stores_take_turns(cluster: Cluster, tmp_path: Path) -> None:
    url = cluster.database()
    stores = [open_store(tmp_path / name, url) for name in ("a", "b")]
    for store in stores:
        store.create_all()

    def work(number: int) -> None:
        stores[number % 2].group_commit(write_note(f"note {number}"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(40)))
    found = [sorted(texts(store)) for store in stores]
    assert found[0] == found[1] == sorted(f"note {number}" for number in range(40))
    for store in stores:
        store.close()
