"""Why a server does not start."""

from __future__ import annotations


class StartError(Exception):
    """The server cannot start: what, where and what to do, in one line."""
