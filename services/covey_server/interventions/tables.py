"""Enrolments and actions in the store."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, String, Table, Text

from covey_server.store.schema import RowNumber, metadata

WAITING, DONE, GIVEN_UP, EXPIRED = "waiting", "done", "given_up", "expired"

playbooks = Table(
    "intervention_playbooks",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("digest", String(64), nullable=False),
)

enrolments = Table(
    "intervention_enrolments",
    metadata,
    Column("playbook", String(100), primary_key=True),
    Column("learner_id", Text, primary_key=True, index=True),
    Column("arm", String(16), nullable=False),
    Column("as_of_us", BigInteger, nullable=False),
    Column("probability", Float(53), nullable=False),
)

actions = Table(
    "intervention_actions",
    metadata,
    Column("number", RowNumber, primary_key=True, autoincrement=True),
    Column("key", String(32), nullable=False, unique=True),
    Column("playbook", String(100), nullable=False),
    Column("learner_id", Text, nullable=False, index=True),
    Column("as_of_us", BigInteger, nullable=False),
    # Null: at any time.
    Column("valid_until_us", BigInteger, nullable=True),
    Column("body", Text, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    sqlite_autoincrement=True,
)
"""In the order in which they were planned; a number is never given twice, so that pages go on behind one."""
