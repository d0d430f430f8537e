"""What `covey upgrade plan` says of what it sees, and when it refuses."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from covey.upgrade.plan import Plan, is_done, plan_of
from covey.upgrade.seen import ReplicaSeen, RolloutSeen, Seen, StepSeen, StoreSeen

URL = "postgresql+psycopg://covey@db/covey"
STEPS = (StepSeen(2, "chained", False), StepSeen(3, "an index", True))


def replica(number: int, *, is_new: bool = False, **changes: Any) -> ReplicaSeen:
    seen = ReplicaSeen(
        data=f"127.0.0.1:{number}",
        metrics=f"http://127.0.0.1:{number + 1}/metrics",
        name=f"replica-{number}",
        version="2.0" if is_new else "1.0",
        tables=3 if is_new else 0,
        stable="variants/native",
        is_serving=True,
    )
    return replace(seen, **changes)


def seen_of(*replicas: ReplicaSeen, **changes: Any) -> Seen:
    store = StoreSeen(f"--store-url {URL}", URL, True, tables=2, server_tables=(None,))
    return replace(Seen("2.0", 3, STEPS, store, replicas or (replica(1), replica(2), replica(3))), **changes)


def plan(seen: Seen) -> Plan:
    return plan_of(seen, restart_server="systemctl restart covey@{replica}", restart_controller="restart controller")


def test_the_steps_of_three_replicas_in_order() -> None:
    found = plan(seen_of(rollouts=(RolloutSeen("rollouts/spring", "RUNNING"),)))
    assert found.refusals == ()
    assert found.summary == "covey 1.0 to 2.0; tables of version 2 to 3"
    assert [step.title.partition(":")[0] for step in found.steps] == [
        "Copy the store",
        "Replace replica-1",
        "Replace replica-2",
        "Replace replica-3",
        "Replace the controller",
        "End the upgrade",
    ]
    assert found.steps[0].command.startswith("pg_dump ")
    assert "postgresql://covey@db/covey" in found.steps[0].command, "a URL that pg_dump understands"
    assert found.steps[1].command == "systemctl restart covey@replica-1"
    assert found.steps[-1].command == f"covey state migrate --store-url {URL}"
    assert "--to 2" in found.steps[-1].back
    assert "{replica}" not in str(found)
    assert all(step.command and step.checks and step.back for step in found.steps)
    assert any("rollouts/spring" in note for note in found.notes)


def test_one_that_is_under_way_goes_on_where_it_is() -> None:
    found = plan(seen_of(replica(1, is_new=True), replica(2), replica(3)))
    assert "1 of 3 replicas are done" in found.summary
    assert "Replace replica-1" not in [step.title for step in found.steps]
    found = plan(seen_of(*(replica(number, is_new=True) for number in (1, 2, 3))))
    assert [step.title.partition(":")[0] for step in found.steps] == ["Copy the store", "End the upgrade"]
    store = replace(seen_of().store, tables=3)
    found = plan(seen_of(*(replica(number, is_new=True) for number in (1, 2, 3)), store=store))
    assert (found.steps, found.refusals) == ((), ())
    assert "nothing to do" in found.summary


def test_every_plan_replaces_each_old_replica_once_and_ends_last() -> None:
    for news in product((False, True), repeat=3):
        replicas = tuple(replica(number, is_new=is_new) for number, is_new in enumerate(news, 1))
        seen = seen_of(*replicas)
        titles = [step.title for step in plan(seen).steps]
        replaced = [title for title in titles if title.startswith("Replace replica")]
        assert replaced == [f"Replace {one.name}" for one in replicas if not is_done(one, seen)]
        assert titles[-1].startswith("End the upgrade")


def test_one_server_with_a_file() -> None:
    store = StoreSeen("--data-directory /var/lib/covey", "/var/lib/covey", False, tables=2)
    found = plan(seen_of(replica(1), store=store))
    assert [step.title for step in found.steps] == ["Copy the state", "Replace replica-1", "Replace the controller"]
    assert "covey state migrate --data-directory /var/lib/covey --to 2" in found.steps[1].back
    assert any("one replica" in note for note in found.notes)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"replicas": (replica(1), replica(2, problem="UNAVAILABLE: nobody"))}, "127.0.0.1:2 does not answer"),
        ({"replicas": (replica(1), replica(2, is_serving=False))}, "replica-2 does not call itself healthy"),
        ({"replicas": (replica(1, has_faults=True),)}, "--enable-faults"),
        ({"replicas": (replica(1), replica(2, stable="variants/other"))}, "disagree about the stable variant"),
        ({"store": replace(seen_of().store, problem="away")}, "the store cannot be read"),
        ({"store": replace(seen_of().store, tables=4)}, "knows up to 3"),
        ({"store": replace(seen_of().store, tables=1)}, r"older servers cannot work beside version 2 \(chained\)"),
        ({"store": replace(seen_of().store, server_tables=(3,) * 4)}, "4 servers work on the store, and 3 were named"),
        ({"rollouts": (RolloutSeen("rollouts/spring", "ROLLING_BACK"),)}, "rollouts/spring is ROLLING_BACK"),
        ({"rollouts_problem": "UNAVAILABLE"}, "rollouts cannot be read"),
    ],
)
def test_what_would_not_be_safe_is_refused_with_its_reason(changes: dict[str, Any], reason: str) -> None:
    import re

    found = plan(replace(seen_of(), **changes))
    assert found.steps == ()
    assert any(re.search(reason, refusal.reason) and refusal.remedy for refusal in found.refusals), found.refusals
