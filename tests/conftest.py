"""Fixtures that every test may use."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Path of a real data set beside the project; where it is absent a failure in CI and a visible skip elsewhere."""

    def path_of(name: str) -> Path:
        path = SHARED_DATA / name
        if not path.exists():
            message = f"the real data set ../shared/data/{name} is not beside the project"
            if os.environ.get("CI") == "true":
                pytest.fail(message)
            pytest.skip(message)
        return path

    return path_of


@pytest.fixture(scope="session")
def oulad_mapping(shared_data: Callable[[str], Path]) -> dict[str, str]:
    """How the Open University's table of clicks maps to events."""
    return {
        "learner": "id_student",
        "time": "date",
        "time_unit": "day",
        "capability": "id_site",
        "domain_from": f"{shared_data('oulad_vle.parquet')}:id_site:activity_type",
        "weight": "sum_click",
    }


@pytest.fixture(params=["reference", "native"])
def engine(request: pytest.FixtureRequest) -> str:
    """Each of the two engines."""
    return str(request.param)


@pytest.fixture(scope="session")
def worlds() -> ModuleType:
    """tests/worlds.py, rollouts in virtual time; tests are no package, so it is loaded by its path."""
    if "worlds" not in sys.modules:
        spec = importlib.util.spec_from_file_location("worlds", Path(__file__).with_name("worlds.py"))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["worlds"] = module
        spec.loader.exec_module(module)
    return sys.modules["worlds"]
