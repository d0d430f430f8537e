"""Journals to show, a real server with people who may do different things, and a dashboard before it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from .site import Site


@pytest.fixture(scope="session")
def done(worlds: ModuleType) -> Any:
    """A rollout that has succeeded; not to be changed, like the two below."""
    return worlds.succeeded()


@pytest.fixture(scope="session")
def back(worlds: ModuleType) -> Any:
    """One that was rolled back in its second phase."""
    return worlds.rolled_back()


@pytest.fixture(scope="session")
def held(worlds: ModuleType) -> Any:
    """One that holds for want of traffic."""
    return worlds.holding()


@pytest.fixture
def site(tmp_path: Path, worlds: ModuleType) -> Iterator[Site]:
    """A server with tokens and its dashboard."""
    made = Site(tmp_path, worlds)
    yield made
    made.close()


@pytest.fixture
def open_site(tmp_path: Path, worlds: ModuleType) -> Iterator[Site]:
    """A server that asks nobody who they are, and its dashboard."""
    made = Site(tmp_path, worlds, has_tokens=False)
    yield made
    made.close()
