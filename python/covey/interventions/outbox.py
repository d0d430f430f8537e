"""The file of enrolments and actions: written in one transaction, told at least once, never planned twice."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from covey.errors import InputError
from covey.interventions.planning import Candidates, Enrolment, Past, Plan, plan_actions
from covey.interventions.playbook import Playbook
from covey.interventions.telling import Delivered, tell

MOST_REFUSALS = 5
"""An action that its receiver refuses for good this often is given up, so that those behind it are told."""
DEFAULT_QUIET_DAYS = 1
"""Two playbooks of one outbox leave a learner so many days between their actions."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS playbooks (name TEXT PRIMARY KEY, digest TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS enrolments (
  playbook TEXT NOT NULL REFERENCES playbooks, learner_id TEXT NOT NULL, arm TEXT NOT NULL,
  as_of_us INTEGER NOT NULL, probability REAL NOT NULL, PRIMARY KEY (playbook, learner_id)
);
CREATE TABLE IF NOT EXISTS actions (
  key TEXT PRIMARY KEY, playbook TEXT NOT NULL REFERENCES playbooks, learner_id TEXT NOT NULL,
  as_of_us INTEGER NOT NULL, body TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'waiting',
  refusals INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS actions_of_learners ON actions (playbook, learner_id);
CREATE INDEX IF NOT EXISTS actions_by_state ON actions (state, as_of_us);
"""


class Outbox:
    """One SQLite file; several processes may use it.

    Args:
        path: made if absent.

    Raises:
        InputError: the file is no outbox.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._connection = sqlite3.connect(path, timeout=30.0, isolation_level=None)
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            raise InputError(f"no outbox ({error})", source=str(path)) from None

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def plan(
        self,
        playbook: Playbook,
        candidates: Candidates,
        *,
        quiet_days: int = DEFAULT_QUIET_DAYS,
        dry_run: bool = False,
    ) -> Plan:
        """Plan and write down, in one transaction: planned twice, by whomever, an action is there once.

        Args:
            playbook: what is done for whom.
            candidates: scores.
            quiet_days: between an action of another playbook of this outbox and one of this for the same learner.
            dry_run: say it, and write nothing.

        Raises:
            InputError: the playbook was another one when it was first used.
        """
        with self._transaction(write=not dry_run):
            self._check(playbook)
            plan = plan_actions(playbook, candidates, self._past(playbook.name, candidates.as_of_us), quiet_days)
            if dry_run:
                return plan
            self._connection.execute("INSERT OR IGNORE INTO playbooks VALUES (?, ?)", (playbook.name, playbook.digest))
            self._connection.executemany(
                "INSERT INTO enrolments VALUES (?, ?, ?, ?, ?)",
                [(playbook.name, own.learner_id, own.arm, own.as_of_us, own.probability) for own in plan.enrolments],
            )
            self._connection.executemany(
                "INSERT INTO actions (key, playbook, learner_id, as_of_us, body) VALUES (?, ?, ?, ?, ?)",
                [
                    (own.key, playbook.name, own.learner_id, own.as_of_us, json.dumps(dict(own.body), sort_keys=True))
                    for own in plan.actions
                ],
            )
        return plan

    def deliver(self, url: str, unix_seconds: Callable[[], float], secret: bytes | None = None) -> Delivered:
        """Tell every waiting action once, oldest first; see `covey.interventions.telling.tell`.

        Args:
            url: http or https.
            unix_seconds: the wall clock, for signatures and for what expires.
            secret: shared with the receiver; None: unsigned.
        """
        rows = self._rows("SELECT key, body FROM actions WHERE state = 'waiting' ORDER BY as_of_us, key")
        found = tell(rows, _OwnNotes(self._connection), url, unix_seconds, secret)
        return replace(found, waiting=self.count("waiting"))

    def count(self, state: str) -> int:
        """Actions that are waiting, told, given_up or expired."""
        return int(self._rows("SELECT count(*) FROM actions WHERE state = ?", state)[0][0])

    def counts(self, playbook: str) -> dict[str, int]:
        """Actions of a playbook by state."""
        query = "SELECT state, count(*) FROM actions WHERE playbook = ? GROUP BY state"
        return dict(self._rows(query, playbook))

    def enrolments(self, playbook: Playbook) -> list[Enrolment]:
        """Everybody who met the playbook's condition, in the order of ids.

        Raises:
            InputError: the playbook was another one when it was first used.
        """
        self._check(playbook)
        rows = self._rows(
            "SELECT learner_id, arm, as_of_us, probability FROM enrolments WHERE playbook = ? ORDER BY learner_id",
            playbook.name,
        )
        return [Enrolment(*row) for row in rows]

    def _past(self, playbook: str, as_of_us: int) -> Past:
        """What was done; an action that expired was not, but the same one is not planned twice."""
        arms = dict(self._rows("SELECT learner_id, arm FROM enrolments WHERE playbook = ?", playbook))
        own: dict[str, list[int]] = defaultdict(list)
        others: dict[str, list[int]] = defaultdict(list)
        done = self._rows(
            "SELECT learner_id, as_of_us, playbook FROM actions"
            " WHERE state <> 'expired' OR (playbook = ? AND as_of_us = ?)",
            playbook,
            as_of_us,
        )
        for learner, time, name in done:
            (own if name == playbook else others)[learner].append(time)
        return Past(arms, own, others)

    def _check(self, playbook: Playbook) -> None:
        known = self._rows("SELECT digest FROM playbooks WHERE name = ?", playbook.name)
        if known and known[0][0] != playbook.digest:
            raise InputError(
                f"playbook '{playbook.name}' is not what it was when it was first used: its effect would be "
                "that of two things",
                source=str(self._path),
                remedy="give the changed playbook another name",
            )

    def _rows(self, statement: str, *arguments: Any) -> list[Any]:
        return self._connection.execute(statement, arguments).fetchall()

    @contextmanager
    def _transaction(self, *, write: bool) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")


class _OwnNotes:
    """What became of an action, in the file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def told(self, key: str) -> None:
        self._connection.execute("UPDATE actions SET state = 'told' WHERE key = ?", (key,))

    def refused(self, key: str) -> bool:
        self._connection.execute(
            "UPDATE actions SET refusals = refusals + 1,"
            " state = CASE WHEN refusals + 1 >= ? THEN 'given_up' ELSE state END WHERE key = ?",
            (MOST_REFUSALS, key),
        )
        (state,) = self._connection.execute("SELECT state FROM actions WHERE key = ?", (key,)).fetchone()
        return bool(state == "given_up")

    def expired(self, key: str) -> None:
        self._connection.execute("UPDATE actions SET state = 'expired' WHERE key = ?", (key,))
