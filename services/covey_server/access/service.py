"""AccessService: who calls, as the gate knows them."""
# ruff: noqa: N802 - methods have the names of the API

from __future__ import annotations

from typing import Any

import grpc

from covey.access.principals import Principal
from covey.v1 import access_pb2, access_pb2_grpc
from covey_server.access.callers import CALLER
from covey_server.access.rules import ALLOWED_ROLES


class AccessServicer(access_pb2_grpc.AccessServiceServicer):
    """Tells callers of an asyncio server who they are to it."""

    async def GetCaller(
        self, request: access_pb2.GetCallerRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> access_pb2.Caller:
        """The caller of this call."""
        return described(CALLER.get())


def described(principal: Principal) -> access_pb2.Caller:
    """A principal as the API tells it."""
    return access_pb2.Caller(
        principal=principal.name,
        roles=sorted(principal.roles),
        signs_for=sorted(principal.signs_for),
        proven=principal.is_authenticated,
        methods=[method.removeprefix("/") for method, roles in ALLOWED_ROLES.items() if principal.has_any(roles)],
    )
