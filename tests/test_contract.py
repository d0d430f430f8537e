"""The public contract: linted, held against the released one, complete in the shipped descriptor set."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

import covey.v1

PROJECT = Path(__file__).resolve().parent.parent


def check(project: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, project / "proto" / "check.py"], capture_output=True, text=True, check=False, timeout=120
    )


@pytest.fixture
def copied_contract(tmp_path: Path) -> Path:
    shutil.copytree(PROJECT / "proto", tmp_path / "proto")
    shutil.copy(PROJECT / "buf.yaml", tmp_path)
    return tmp_path


def test_the_contract_is_clean() -> None:
    result = check(PROJECT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_field_that_changes_its_number_is_found(copied_contract: Path) -> None:
    events = copied_contract / "proto" / "covey" / "v1" / "events.proto"
    text = events.read_text()
    assert "string capability = 4;" in text
    events.write_text(text.replace("string capability = 4;", "string capability = 14;"))
    result = check(copied_contract)
    assert result.returncode == 1
    assert "capability" in result.stdout + result.stderr


def test_the_descriptor_set_describes_every_service_without_reflection() -> None:
    shipped = Path(next(iter(covey.v1.__path__))) / "covey.binpb"
    descriptors = descriptor_pb2.FileDescriptorSet.FromString(shipped.read_bytes())
    services = {f"{file.package}.{service.name}" for file in descriptors.file for service in file.service}
    assert {"covey.v1.AnalyzerService", "covey.v1.OutcomeService", "covey.v1.RolloutService"} <= services
    names = {file.name for file in descriptors.file}
    assert all(dependency in names for file in descriptors.file for dependency in file.dependency)
