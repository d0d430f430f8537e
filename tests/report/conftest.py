"""Journals for the report's tests."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def load_worlds() -> ModuleType:
    """tests/worlds.py: tests are no package, so it is loaded by its path."""
    if "worlds" not in sys.modules:
        spec = importlib.util.spec_from_file_location("worlds", Path(__file__).parents[1] / "worlds.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["worlds"] = module
        spec.loader.exec_module(module)
    return sys.modules["worlds"]


@pytest.fixture(scope="session")
def worlds() -> ModuleType:
    return load_worlds()
