"""Bytes that are no message are the caller's mistake: INVALID_ARGUMENT, where the library says INTERNAL or UNKNOWN."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from covey_server.errors import CallError


class Malformed:
    """What came instead of a message."""

    def __init__(self, problem: str) -> None:
        self.problem = problem


def reading(read: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    """A deserializer (None: bytes as they are) whose handler is given what cannot be read, and can still answer."""

    def guarded(message: bytes) -> Any:
        try:
            return message if read is None else read(message)
        except DecodeError as error:
            return Malformed(str(error))

    return guarded


def wellformed(message: Any) -> Any:
    """The message.

    Raises:
        CallError: INVALID_ARGUMENT where it is none.
    """
    if isinstance(message, Malformed):
        raise CallError(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"the request is no message of this method, or has text that is not UTF-8 ({message.problem[:200]})",
            reason="MALFORMED_MESSAGE",
        )
    return message


async def wellformed_each(messages: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """The messages of a stream.

    Raises:
        CallError: as `wellformed`.
    """
    async for message in messages:
        yield wellformed(message)
