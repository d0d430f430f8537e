"""What callers see when something goes wrong: a canonical gRPC code and google.rpc details, never a stack trace.

Rooms raise `CallError`; the wrappers of the two ports turn it into the status of the call with `abort` (threads) or
`abort_aio` (asyncio). Anything else that is raised becomes INTERNAL with the request id under which the log has it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

if TYPE_CHECKING:
    from google.protobuf.message import Message

DOMAIN = "covey"
REQUEST_ID_KEY = "covey-request-id"
_DETAILS_KEY = "grpc-status-details-bin"
# Trailers share one HTTP/2 header list of 8 KiB by default; a longer text would lose the whole status.
_LONGEST_MESSAGE = 2000
_MOST_VIOLATIONS = 10
_LONGEST_VIOLATION = 300

_log = logging.getLogger("covey_server.errors")

current_request_id: ContextVar[str] = ContextVar("current_request_id", default="")
"""Set by the ports' wrappers while they serve a call."""


class CallError(Exception):
    """An answer with an error code, for people: what is wrong, where, and what to do.

    Args:
        code: canonical code of the call.
        message: one or two sentences for the caller.
        violations: (field, description) of each wrong field, as google.rpc.BadRequest.
        reason: UPPER_SNAKE_CASE constant for programs, as google.rpc.ErrorInfo of the domain "covey".
        metadata: names and values of the ErrorInfo.
        retry_after_seconds: when a retry may succeed, as google.rpc.RetryInfo.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        violations: Sequence[tuple[str, str]] = (),
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.violations = tuple(violations)
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.retry_after_seconds = retry_after_seconds


def invalid(field: str, description: str) -> CallError:
    """INVALID_ARGUMENT about one field; the message repeats it for people."""
    return CallError(
        grpc.StatusCode.INVALID_ARGUMENT,
        f"{field}: {description}",
        violations=[(field, description)],
        reason="INVALID_FIELD",
    )


def not_found(name: str, remedy: str) -> CallError:
    """NOT_FOUND of a resource name, with what to do about it."""
    return CallError(
        grpc.StatusCode.NOT_FOUND,
        f"{name!r} does not exist; {remedy}",
        reason="NOT_FOUND",
        metadata={"resource": name[:200]},
    )


def internal(request_id: str) -> CallError:
    """What a caller is told of an unexpected exception; the log has the traceback under the same id."""
    return CallError(
        grpc.StatusCode.INTERNAL,
        f"internal error, request id {request_id}",
        reason="INTERNAL",
        metadata={"request_id": request_id},
    )


def rpc_status(error: CallError) -> status_pb2.Status:
    """The google.rpc.Status of an error: code, message and details, short enough for trailers."""
    details: list[Message] = []
    if error.violations:
        bad_request = error_details_pb2.BadRequest()
        for field, description in error.violations[:_MOST_VIOLATIONS]:
            bad_request.field_violations.add(
                field=_shortened(field, _LONGEST_VIOLATION), description=_shortened(description, _LONGEST_VIOLATION)
            )
        details.append(bad_request)
    if error.reason:
        details.append(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata))
    if error.retry_after_seconds is not None:
        delay = Duration()
        delay.FromNanoseconds(round(error.retry_after_seconds * 1e9))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    status = status_pb2.Status(code=error.code.value[0], message=_shortened(error.message, _LONGEST_MESSAGE))
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def from_exception(error: BaseException, request_id: str) -> CallError:
    """The error itself when it is meant for callers, otherwise INTERNAL, with the traceback in the log."""
    if isinstance(error, CallError):
        return error
    _log.error("internal error", exc_info=error, extra={"request_id": request_id})
    return internal(request_id)


def abort(context: grpc.ServicerContext, error: BaseException) -> NoReturn:
    """End a call of the thread-pool server with the status of `error`."""
    aborting(from_exception(error, request_id(context)))(context)


def aborting(call_error: CallError) -> Callable[[grpc.ServicerContext], NoReturn]:
    """What ends calls of the thread-pool server with one status, which is put into bytes once for all of them."""
    trailers, message = _trailers(call_error), _shortened(call_error.message, _LONGEST_MESSAGE)

    def end(context: grpc.ServicerContext) -> NoReturn:
        context.set_trailing_metadata(trailers)
        context.abort(call_error.code, message)
        raise AssertionError("unreachable: abort raises")

    return end


async def abort_aio(context: grpc.aio.ServicerContext, error: BaseException) -> NoReturn:  # type: ignore[type-arg]
    """End a call of the asyncio server with the status of `error`."""
    if isinstance(error, asyncio.CancelledError | grpc.aio.AbortError):
        raise error
    call_error = from_exception(error, request_id(context))
    await context.abort(
        call_error.code, _shortened(call_error.message, _LONGEST_MESSAGE), trailing_metadata=_trailers(call_error)
    )
    raise AssertionError("unreachable: abort raises")


def request_id(context: grpc.ServicerContext | grpc.aio.ServicerContext) -> str:  # type: ignore[type-arg]
    """The id of this call in logs and messages: the caller's `covey-request-id`, or one made up at its arrival."""
    return current_request_id.get() or _metadata_value(context, REQUEST_ID_KEY) or new_request_id()


def new_request_id() -> str:
    """An id for a call that came without one: 16 random hexadecimal digits."""
    return f"{random.getrandbits(64):016x}"


def _metadata_value(context: grpc.ServicerContext | grpc.aio.ServicerContext, key: str) -> str:  # type: ignore[type-arg]
    for name, value in context.invocation_metadata() or ():
        if name == key:
            text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
            return text[:128]
    return ""


def _trailers(error: CallError) -> tuple[tuple[str, bytes], ...]:
    return ((_DETAILS_KEY, rpc_status(error).SerializeToString()),)


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
