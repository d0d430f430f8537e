"""Rollouts of services that are not this server: it keeps their journal and lease, and splits nothing for them."""

from __future__ import annotations

import grpc
import pytest

from covey.rollout import commands
from covey.rollout.spec import load_spec
from covey.v1 import rollout_spec_pb2
from covey_server.rollouts.journal_entries import Author

from .rollout_rooms import (
    REFERENCE,
    SUCCEEDED,
    TRIGGER,
    Caller,
    Rooms,
    finished,
    plan,
    refusal,
    rollback,
)

PLAN = """
target: echo
baseline: 127.0.0.1:7001
candidate: 127.0.0.1:7002
traffic: {haproxy: {routers: ['unix:/run/covey/haproxy.sock']}}
metrics:
  scrape: {baseline_urls: ['http://127.0.0.1:9001/'], candidate_urls: ['http://127.0.0.1:9002/']}
phases:
  - {name: canary, traffic_share: 1 %, hold: 10s, criteria: [error_rate < 1 %]}
  - {name: full, traffic_share: 100 %, hold: 10s, criteria: [{statement: error_rate < 1 %, margin: 0}]}
triggers: [error_rate > 1.5 %]
"""


def foreign() -> rollout_spec_pb2.RolloutSpec:
    return load_spec(PLAN, "echo.yaml")


def begin(rooms: Rooms, name: str = "rollouts/echo") -> None:
    """Created, started and in its first phase."""
    entries = commands.create(name, f"uid-of-{name}", foreign())
    rooms.journal.commit(
        lambda connection: rooms.journal.create(connection, name, f"uid-of-{name}", entries, Author("ann"))
    )
    rooms.start(name)
    rooms.enter("canary", 100, name)


def test_a_foreign_plan_is_created_and_started_beside_one_of_this_server(call: Caller) -> None:
    call.started("mine")
    call("CreateRollout", rollout_id="echo", spec=foreign())
    started = call("StartRollout", name="rollouts/echo").rollout
    assert started.spec.baseline == "127.0.0.1:7001"
    assert started.spec.traffic.haproxy.header == "x-covey-learner"
    mine = call("AcquireLease", target="analyzer", holder="one").epoch
    theirs = call("AcquireLease", target="echo", holder="two").epoch
    call.enter_canary(theirs, "rollouts/echo")
    call.enter_canary(mine, "rollouts/mine")


def test_a_second_rollout_of_the_same_foreign_target_waits(call: Caller) -> None:
    for name in ("one", "two"):
        call("CreateRollout", rollout_id=name, spec=foreign())
    call("StartRollout", name="rollouts/one")
    refused = refusal(call, "StartRollout", name="rollouts/two")
    assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TARGET_TAKEN")


@pytest.mark.parametrize("router", [{"haproxy": {"routers": ["unix:/run/x"]}}, {"xds": {}}])
def test_the_analyzer_is_not_given_away(call: Caller, router: dict[str, object]) -> None:
    refused = refusal(call, "CreateRollout", rollout_id="x", spec=plan(traffic=router))
    assert refused.code == grpc.StatusCode.INVALID_ARGUMENT
    assert refused.fields == [f"spec.traffic.{next(iter(router))}"]


def test_the_split_of_this_server_does_not_hear_of_it(rooms: Rooms) -> None:
    rooms.to_canary()
    begin(rooms)
    assert rooms.weight() == 100
    rooms.append(rollback(TRIGGER), name="rollouts/echo")
    assert rooms.weight() == 100, "the rollback of another service"
    rooms.append(rollback(TRIGGER))
    assert rooms.weight() == 0


def test_its_success_makes_no_variant_stable_here(rooms: Rooms) -> None:
    begin(rooms)
    rooms.enter("full", 10_000, "rollouts/echo")
    rooms.append(finished(SUCCEEDED), name="rollouts/echo")
    assert rooms.catalogue.stable() == REFERENCE
    assert rooms.weight() is None


def test_a_crash_of_this_server_says_nothing_of_a_candidate_elsewhere(rooms: Rooms) -> None:
    begin(rooms)
    assert rooms.journal.running_candidate() == ""
    again = rooms.reopened()
    try:
        assert again.weight() is None
        assert again.journal.state("rollouts/echo").candidate_weight_bp == 100
    finally:
        again.close()


def test_an_unknown_target_without_routers_cannot_be_rolled_out(call: Caller) -> None:
    refused = refusal(call, "CreateRollout", rollout_id="x", spec=plan(target="billing"))
    assert refused.fields == ["spec.target"]
    assert "traffic and metrics" in refused.message
