"""The core decides from the journal alone: no I/O, no clock, no chance."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOMS = [Path(__file__).resolve().parents[2] / "python" / "covey" / room for room in ("rollout", "stats")]
FILES = sorted(path for room in ROOMS for path in room.glob("*.py"))
FORBIDDEN_MODULES = {"grpc", "prometheus_client", "time", "random", "secrets", "socket", "os", "pathlib", "threading"}
FORBIDDEN_CALLS = {"now", "utcnow", "today", "open", "default_rng", "uuid4"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_clock_no_chance_no_wire(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert not {name.name.split(".")[0] for name in node.names} & FORBIDDEN_MODULES
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            assert module.split(".")[0] not in FORBIDDEN_MODULES
            assert not module.endswith("_pb2_grpc")
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            assert name not in FORBIDDEN_CALLS, f"line {node.lineno}"


def test_importing_it_loads_neither_grpc_nor_scipy() -> None:
    code = (
        "import sys, covey.rollout.decide, covey.rollout.resource, covey.rollout.commands, covey.rollout.replay\n"
        "print([name for name in ('grpc', 'scipy', 'prometheus_client', 'pyarrow', 'random.SystemRandom') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
