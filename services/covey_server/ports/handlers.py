"""gRPC's four kinds of methods, for what is put around a handler."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    Handler = grpc.RpcMethodHandler[Any, Any]

_KINDS: dict[tuple[bool, bool], tuple[str, Callable[..., Any]]] = {
    (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
    (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
    (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
}


def taken_apart(handler: Handler) -> tuple[Callable[..., Any], Callable[..., Handler]]:
    """The behavior of a handler, and what makes a handler of the same kind around another behavior."""
    attribute, make = _KINDS[handler.request_streaming, handler.response_streaming]
    return getattr(handler, attribute), make
