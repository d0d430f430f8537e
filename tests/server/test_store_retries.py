"""Idempotency: a retry gets the first result, for a day and for the same body only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from covey_server.errors import CallError
from covey_server.store import Store, once, open_store

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def remembered(store: Store, request_id: str, body: bytes, response: bytes, now: datetime = NOW) -> bytes:
    return store.group_commit(
        lambda connection: once(connection, "Do", request_id, lambda _: response, body=body, now=now)
    )


def test_a_retry_returns_the_first_result(store: Store) -> None:
    assert remembered(store, "r", b"body", b"first") == b"first"
    assert remembered(store, "r", b"body", b"second") == b"first"
    assert remembered(store, "other", b"body", b"second") == b"second"


def test_the_same_id_with_another_body_is_refused(store: Store) -> None:
    remembered(store, "r", b"body", b"first")
    with pytest.raises(CallError) as refusal:
        remembered(store, "r", b"another body", b"second")
    assert refusal.value.code == grpc.StatusCode.ALREADY_EXISTS
    assert refusal.value.reason == "REQUEST_ID_REUSED"


def test_a_result_is_forgotten_after_a_day(store: Store) -> None:
    remembered(store, "r", b"body", b"first")
    assert remembered(store, "r", b"body", b"second", NOW + timedelta(hours=24)) == b"first"
    assert remembered(store, "r", b"another", b"third", NOW + timedelta(hours=24, seconds=1)) == b"third"
    with store.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM idempotency").scalar_one() == 1


def test_a_failed_request_is_not_remembered(store: Store) -> None:
    def fail(_: Connection) -> bytes:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.group_commit(lambda connection: once(connection, "Do", "r", fail, body=b"body", now=NOW))
    assert remembered(store, "r", b"body", b"second") == b"second"


@pytest.mark.parametrize("request_id", ["", "x" * 129])
def test_a_request_id_is_required_and_bounded(store: Store, request_id: str) -> None:
    with pytest.raises(CallError) as refusal:
        remembered(store, request_id, b"body", b"first")
    assert refusal.value.code == grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.value.violations[0][0] == "request_id"


@settings(max_examples=25)
@given(
    requests=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from([b"x", b"y"]), st.integers(0, 20)), min_size=1, max_size=20
    )
)
def test_idempotency_is_a_map_of_first_results(
    requests: list[tuple[str, bytes, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = open_store(tmp_path_factory.mktemp("store"))
    model: dict[str, tuple[bytes, bytes, datetime]] = {}
    now = NOW
    try:
        for number, (request_id, body, hours) in enumerate(requests):
            now += timedelta(hours=hours)
            known = model.get(request_id)
            if known is not None and now - known[2] > timedelta(hours=24):
                known = None
            response = str(number).encode()
            if known is not None and known[0] != body:
                with pytest.raises(CallError):
                    remembered(store, request_id, body, response, now)
                continue
            if known is None:
                known = model[request_id] = (body, response, now)
            assert remembered(store, request_id, body, response, now) == known[1]
    finally:
        store.close()
