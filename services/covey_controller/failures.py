"""Why a controller does not start."""

from __future__ import annotations


class ConfigError(ValueError):
    """A setting that cannot work; the message names it and what it should be."""
