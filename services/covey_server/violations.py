"""Every wrong field of a request, gathered before it is refused."""

from __future__ import annotations

import grpc

from covey_server.errors import CallError

_MOST_GATHERED = 10


class Violations:
    """Fields that are wrong, below one path of the request.

    Args:
        path: path of the message that is looked at, such as `requests[3].packed`; empty: the request itself.
    """

    def __init__(self, path: str = "") -> None:
        self._path = path
        self._found: list[tuple[str, str]] = []
        self._count = 0

    def add(self, field: str, description: str) -> None:
        """One more wrong field, by its path below `path`; only the first ten are kept."""
        self._count += 1
        if self._count <= _MOST_GATHERED:
            self._found.append((".".join(part for part in (self._path, field) if part), description))

    def error(self) -> CallError:
        """INVALID_ARGUMENT that names them."""
        field, description = self._found[0]
        more = f" (and {self._count - 1} more)" if self._count > 1 else ""
        return CallError(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"{field}: {description}{more}",
            violations=self._found,
            reason="INVALID_FIELD",
        )

    def raise_if_any(self) -> None:
        """Refuse the request unless every field was right."""
        if self._found:
            raise self.error()
