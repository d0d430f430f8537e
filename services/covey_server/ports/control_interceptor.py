"""Around every call of the control port: who calls, and whether they may."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import grpc

from covey_server.access.callers import CALLER
from covey_server.access.gate import Gate
from covey_server.access.rules import OPEN_METHODS
from covey_server.errors import abort_aio, current_request_id, request_id
from covey_server.ports import malformed
from covey_server.ports.handlers import taken_apart

if TYPE_CHECKING:
    Handler = grpc.RpcMethodHandler[Any, Any]

Context = grpc.aio.ServicerContext[Any, Any]


class AccessInterceptor(grpc.aio.ServerInterceptor):
    """Admits callers of an asyncio server; handlers find them in `CALLER`.

    Args:
        gate: who may call what.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """The method's handler behind the gate."""
        handler = await continuation(handler_call_details)
        method: str = handler_call_details.method
        if handler is None or method in OPEN_METHODS:
            return handler
        behavior, make = taken_apart(handler)
        wrap = self._stream if handler.response_streaming else self._unary
        return make(
            wrap(method, behavior, handler.request_streaming),
            request_deserializer=malformed.reading(handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )

    def _unary(self, method: str, behavior: Callable[..., Any], reads_many: bool) -> Callable[..., Any]:
        async def serve(request: Any, context: Context) -> Any:
            return await behavior(await self._admitted(method, request, reads_many, context), context)

        return serve

    def _stream(self, method: str, behavior: Callable[..., Any], reads_many: bool) -> Callable[..., Any]:
        async def serve(request: Any, context: Context) -> AsyncIterator[Any]:
            admitted = await self._admitted(method, request, reads_many, context)
            async for response in behavior(admitted, context):
                yield response

        return serve

    async def _admitted(self, method: str, request: Any, reads_many: bool, context: Context) -> Any:
        """The request of a caller who may make it."""
        current_request_id.set(request_id(context))
        try:
            # A call is a task of its own, and so is what it sees of this.
            CALLER.set(self._gate.admit(method, context.invocation_metadata(), context.auth_context))  # type: ignore[arg-type]
            return malformed.wellformed_each(request) if reads_many else malformed.wellformed(request)
        except Exception as error:
            await abort_aio(context, error)
