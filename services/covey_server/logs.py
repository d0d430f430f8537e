"""Structured logs: one JSON object a line on standard error, each with the request id of the call it belongs to.

Learner ids are written at debug level only.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

from covey_server.errors import current_request_id

LEVELS = ("debug", "info", "warning", "error")
_STANDARD = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: time, level, logger, message, request_id, what `extra` holds, and the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        request_id = current_request_id.get()
        if request_id:
            line["request_id"] = request_id
        line.update({name: value for name, value in record.__dict__.items() if name not in _STANDARD})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def configure(level: str, stream: TextIO | None = None) -> logging.Handler:
    """Send the logs of this process to `stream` (standard error by default).

    Args:
        level: one of `LEVELS`.
        stream: where the lines go.

    Returns:
        The handler, for `remove`.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("covey_server").setLevel(level.upper())
    return handler


def remove(handler: logging.Handler) -> None:
    """Undo `configure`; for servers inside another process."""
    logging.getLogger().removeHandler(handler)
    handler.close()
