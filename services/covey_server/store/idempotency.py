"""A mutation that is retried returns its first result.

The result is stored in the mutation's own transaction, so that it is remembered exactly when the mutation happened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import grpc
from sqlalchemy import Connection, delete, insert, select

from covey import failpoints
from covey_server.errors import CallError, invalid
from covey_server.store.schema import idempotency, to_microseconds

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from covey_server.store.store import Store

REMEMBERED = timedelta(hours=24)
LONGEST_REQUEST_ID = 128


def once(
    connection: Connection,
    method: str,
    request_id: str,
    run: Callable[[Connection], bytes],
    *,
    body: bytes,
    now: datetime | None = None,
) -> bytes:
    """The response of `run(connection)`, or the remembered response of the same request within 24 h.

    Args:
        connection: of a write transaction (`store.write()` or `store.group_commit`).
        method: RPC name; the same id under another method is another request.
        request_id: the caller's, 1 to 128 characters.
        run: makes the change and returns the response as bytes; called at most once per request.
        body: deterministic bytes of the request, to tell a retry from another request under the same id.
        now: the wall clock; default the system's.

    Raises:
        CallError: INVALID_ARGUMENT without a usable request id; ALREADY_EXISTS when the id was used with another body.
    """
    check_request_id(request_id)
    now_us = to_microseconds(now or datetime.now(UTC))
    digest = hashlib.sha256(body).digest()
    oldest_us = now_us - REMEMBERED // timedelta(microseconds=1)
    found = _remembered(connection, method, request_id, digest, oldest_us)
    if found is not None:
        return found
    failpoints.reach("request.new")
    response = run(connection)
    connection.execute(delete(idempotency).where(idempotency.c.time_us < oldest_us))
    connection.execute(
        insert(idempotency).values(
            method=method, request_id=request_id, request_digest=digest, response=response, time_us=now_us
        )
    )
    failpoints.reach("request.remembered")
    return response


def remembered(store: Store, request: Message, now: datetime) -> bytes | None:
    """The response that `commit_once` would return of an earlier request; None where it would run.

    For requests whose work is done before their transaction: a retry need not do it again.

    Raises:
        CallError: as `once`.
    """
    method, request_id, body = _told_apart(request)
    check_request_id(request_id)
    oldest_us = to_microseconds(now) - REMEMBERED // timedelta(microseconds=1)
    with store.read() as connection:
        return _remembered(connection, method, request_id, hashlib.sha256(body).digest(), oldest_us)


def _remembered(connection: Connection, method: str, request_id: str, digest: bytes, oldest_us: int) -> bytes | None:
    key = (idempotency.c.method == method) & (idempotency.c.request_id == request_id)
    found = connection.execute(
        select(idempotency.c.request_digest, idempotency.c.response).where(key, idempotency.c.time_us >= oldest_us)
    ).one_or_none()
    if found is None:
        return None
    if found.request_digest != digest:
        raise _reused(method, request_id, f"for another {method} request")
    return bytes(found.response)


def reused(request: Message, how: str) -> CallError:
    """ALREADY_EXISTS: the request's id was used before, in some other way than by a retry of it."""
    method, request_id, _ = _told_apart(request)
    return _reused(method, request_id, how)


def _reused(method: str, request_id: str, how: str) -> CallError:
    return CallError(
        grpc.StatusCode.ALREADY_EXISTS,
        f"request_id {request_id!r} was used {how}; retry with the same fields, or use a new request_id",
        reason="REQUEST_ID_REUSED",
        metadata={"method": method, "request_id": request_id},
    )


def commit_once(store: Store, request: Message, run: Callable[[Connection], bytes], now: datetime) -> bytes:
    """`once` for a request of its own message type, in a commit that concurrent callers share.

    Raises:
        CallError: as `once`, and what `run` raises.
        StoreError: the store could not write; nothing was kept.
    """
    # Before the writer's lock: a request may be megabytes.
    method, request_id, body = _told_apart(request)
    return store.group_commit(lambda connection: once(connection, method, request_id, run, body=body, now=now))


def once_for(connection: Connection, request: Message, run: Callable[[Connection], bytes], now: datetime) -> bytes:
    """`once` for a request of its own message type, in a write transaction that is under way.

    Raises:
        CallError: as `once`, and what `run` raises.
    """
    method, request_id, body = _told_apart(request)
    return once(connection, method, request_id, run, body=body, now=now)


def check_request_id(request_id: str) -> None:
    """Refuse an absent or overlong request id.

    Raises:
        CallError: INVALID_ARGUMENT.
    """
    if not request_id:
        raise invalid("request_id", "is required: any text that is unique to this request, such as a UUID")
    if len(request_id) > LONGEST_REQUEST_ID:
        raise invalid("request_id", f"has {len(request_id)} characters, at most {LONGEST_REQUEST_ID} are kept")


def _told_apart(request: Message) -> tuple[str, str, bytes]:
    """What tells requests apart: method, request id and body."""
    request_id: str = request.request_id  # type: ignore[attr-defined]
    return type(request).__name__.removesuffix("Request"), request_id, request.SerializeToString(deterministic=True)
