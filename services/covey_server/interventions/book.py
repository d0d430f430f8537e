"""The outbox of a server: planned in one transaction, by the library's pure function, and never twice."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import grpc
from sqlalchemy import bindparam, delete, insert, or_, select, update

from covey.interventions.planning import Candidates, Enrolment, Past, Plan, plan_actions
from covey.v1 import interventions_pb2
from covey_server.errors import CallError
from covey_server.interventions.tables import DONE, EXPIRED, GIVEN_UP, WAITING, actions, enrolments, playbooks
from covey_server.store import commit_once, remembered
from covey_server.store.schema import to_microseconds

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from covey.interventions import Playbook
    from covey_server.store import Store


class InterventionBook:
    """Enrolments and actions of all playbooks; servers that share a store share them.

    Args:
        store: an open store.
        clock: the time, aware.
    """

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock

    def plan(
        self,
        request: interventions_pb2.PlanInterventionsRequest,
        playbook: Playbook,
        candidates: Candidates,
        quiet_days: int,
    ) -> interventions_pb2.PlanInterventionsResponse:
        """Plan and write down, in one transaction with the answer, which a retry gets again.

        Raises:
            CallError: FAILED_PRECONDITION where the playbook was another one when it was first used; as `commit_once`.
        """
        if request.dry_run:
            with self._store.read() as connection:
                return _answer(self._planned(connection, playbook, candidates, quiet_days), candidates)

        def run(connection: Connection) -> bytes:
            plan = self._planned(connection, playbook, candidates, quiet_days)
            self._write(connection, playbook, plan)
            return _answer(plan, candidates).SerializeToString()

        answer = commit_once(self._store, request, run, self._clock())
        return interventions_pb2.PlanInterventionsResponse.FromString(answer)

    def remembered(
        self, request: interventions_pb2.PlanInterventionsRequest
    ) -> interventions_pb2.PlanInterventionsResponse | None:
        """The answer that an earlier request of this id got; None where there is none.

        Raises:
            CallError: as `commit_once`.
        """
        answer = remembered(self._store, request, self._clock())
        return None if answer is None else interventions_pb2.PlanInterventionsResponse.FromString(answer)

    def page(self, state: str, playbook: str, after: int, size: int) -> Sequence[Any]:
        """Rows of actions in a state behind a number, one more than `size` where there are more."""
        columns, now_us = actions.c, to_microseconds(self._clock())
        is_old = (columns.state == WAITING) & (columns.valid_until_us < now_us)
        wanted = columns.state == state
        if state == WAITING:
            wanted = (columns.state == WAITING) & or_(
                columns.valid_until_us.is_(None), columns.valid_until_us >= now_us
            )
        elif state == EXPIRED:
            wanted = or_(columns.state == EXPIRED, is_old)
        query = select(actions).where(wanted, columns.number > after).order_by(columns.number).limit(size + 1)
        if playbook:
            query = query.where(columns.playbook == playbook)
        with self._store.read() as connection:
            return connection.execute(query).all()

    def advance(self, done: Sequence[str], given_up: Sequence[str]) -> tuple[int, int]:
        """How many of these waited until now; those that did are done or given up."""

        def run(connection: Connection) -> tuple[int, int]:
            first, second = (_moved(connection, keys, to) for keys, to in ((done, DONE), (given_up, GIVEN_UP)))
            return first, second

        return self._store.group_commit(run)

    def enrolments(self, playbook: Playbook) -> list[Enrolment]:
        """Everybody who met the playbook's condition, in the order of ids.

        Raises:
            CallError: FAILED_PRECONDITION where the playbook was another one when it was first used, or nobody did.
        """
        columns = enrolments.c
        query = select(columns.learner_id, columns.arm, columns.as_of_us, columns.probability)
        with self._store.read() as connection:
            _check(connection, playbook)
            rows = connection.execute(query.where(columns.playbook == playbook.name)).all()
        if not rows:
            raise CallError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"nobody was chosen under '{playbook.name}' yet; plan first",
                reason="NOBODY_ENROLLED",
            )
        return sorted((Enrolment(*row) for row in rows), key=lambda own: own.learner_id)

    def forget_stored(self, connection: Connection, learner_id: str) -> int:
        """Remove a learner, in the caller's transaction where it is one of this store; how many actions there were."""
        with self._store.joined(connection) as joined:
            joined.execute(delete(enrolments).where(enrolments.c.learner_id == learner_id))
            return joined.execute(delete(actions).where(actions.c.learner_id == learner_id)).rowcount

    def _planned(self, connection: Connection, playbook: Playbook, candidates: Candidates, quiet_days: int) -> Plan:
        _check(connection, playbook)
        now_us = to_microseconds(self._clock())
        return plan_actions(playbook, candidates, _past(connection, playbook.name, candidates, now_us), quiet_days)

    def _write(self, connection: Connection, playbook: Playbook, plan: Plan) -> None:
        now_us = to_microseconds(self._clock())
        is_old = (actions.c.state == WAITING) & (actions.c.valid_until_us < now_us)
        connection.execute(update(actions).where(is_old).values(state=EXPIRED))
        if connection.scalar(select(playbooks.c.name).where(playbooks.c.name == playbook.name)) is None:
            connection.execute(insert(playbooks).values(name=playbook.name, digest=playbook.digest))
        if plan.enrolments:
            connection.execute(
                insert(enrolments),
                [
                    {
                        "playbook": playbook.name,
                        "learner_id": own.learner_id,
                        "arm": own.arm,
                        "as_of_us": own.as_of_us,
                        "probability": own.probability,
                    }
                    for own in plan.enrolments
                ],
            )
        if plan.actions:
            connection.execute(
                insert(actions),
                [
                    {
                        "key": own.key,
                        "playbook": playbook.name,
                        "learner_id": own.learner_id,
                        "as_of_us": own.as_of_us,
                        "valid_until_us": own.body.get("valid_until_us"),
                        "body": json.dumps(dict(own.body), sort_keys=True),
                        "state": WAITING,
                    }
                    for own in plan.actions
                ],
            )


def _check(connection: Connection, playbook: Playbook) -> None:
    known = connection.scalar(select(playbooks.c.digest).where(playbooks.c.name == playbook.name))
    if known is not None and known != playbook.digest:
        raise CallError(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"playbook '{playbook.name}' is not what it was when it was first used: its effect would be that of two "
            "things; give the changed playbook another name",
            reason="PLAYBOOK_CHANGED",
        )


def _past(connection: Connection, playbook: str, candidates: Candidates, now_us: int) -> Past:
    """What was done; an action that expired was not, but the same one is not planned twice."""
    columns = enrolments.c
    query = select(columns.learner_id, columns.arm).where(columns.playbook == playbook)
    arms = {row.learner_id: row.arm for row in connection.execute(query)}
    own: dict[str, list[int]] = defaultdict(list)
    others: dict[str, list[int]] = defaultdict(list)
    columns = actions.c
    is_expired = (columns.state == EXPIRED) | ((columns.state == WAITING) & (columns.valid_until_us < now_us))
    done = select(columns.learner_id, columns.as_of_us, columns.playbook, is_expired)
    for learner, time_us, name, expired in connection.execute(done):
        if not expired or (name == playbook and time_us == candidates.as_of_us):
            (own if name == playbook else others)[learner].append(time_us)
    return Past(arms, own, others)


def _moved(connection: Connection, keys: Sequence[str], state: str) -> int:
    if not keys:
        return 0
    count = 0
    move = update(actions).where(actions.c.key == bindparam("own"), actions.c.state == WAITING).values(state=state)
    for key in dict.fromkeys(keys):
        count += connection.execute(move, {"own": key}).rowcount
    return count


def _answer(plan: Plan, candidates: Candidates) -> interventions_pb2.PlanInterventionsResponse:
    message = interventions_pb2.PlanInterventionsResponse(
        chosen_count=plan.chosen_count,
        new_count=len(plan.enrolments),
        held_out_count=plan.held_out_count,
        cooling_count=plan.cooling_count,
        limited_count=plan.limited_count,
        quiet_count=plan.quiet_count,
        action_count=len(plan.actions),
    )
    message.as_of.FromMicroseconds(candidates.as_of_us)
    return message
