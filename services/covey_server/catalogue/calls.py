"""What every method of these rooms does alike: a store that cannot answer is UNAVAILABLE, not an internal error."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from typing import TypeVar

import grpc

from covey_server.errors import CallError
from covey_server.store import StoreError

Room = TypeVar("Room")
Request = TypeVar("Request")
Response = TypeVar("Response")

_log = logging.getLogger("covey_server.store")


def unary(
    method: Callable[[Room, Request, grpc.ServicerContext], Response],
) -> Callable[[Room, Request, grpc.ServicerContext], Response]:
    """A method that answers once."""

    @functools.wraps(method)
    def serve(room: Room, request: Request, context: grpc.ServicerContext) -> Response:
        try:
            return method(room, request, context)
        except StoreError as error:
            raise store_unavailable(error) from error

    return serve


def stream(
    method: Callable[[Room, Request, grpc.ServicerContext], Iterator[Response]],
) -> Callable[[Room, Request, grpc.ServicerContext], Iterator[Response]]:
    """A method that answers many times."""

    @functools.wraps(method)
    def serve(room: Room, request: Request, context: grpc.ServicerContext) -> Iterator[Response]:
        try:
            yield from method(room, request, context)
        except StoreError as error:
            raise store_unavailable(error) from error

    return serve


def store_unavailable(error: StoreError) -> CallError:
    """What callers are told when the store cannot answer."""
    _log.error("the store cannot answer", exc_info=error)
    return CallError(
        grpc.StatusCode.UNAVAILABLE,
        f"the store cannot answer: {error.problem}. Retry with the same request_id; for the operator: {error.remedy}",
        reason="STORE_UNAVAILABLE",
        retry_after_seconds=1.0,
    )
