"""Fixtures that every test may use."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from collections.abc import Callable, Generator
from datetime import datetime
from pathlib import Path
from types import ModuleType

import pytest
import trustme
from findings import Finding, counted, is_whole, told
from hypothesis import HealthCheck, settings

# How fast an example is says what else the machine does: speed is asked in benchmarks.
settings.register_profile("covey", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("covey")

# Shells start what runs in the background deaf to Ctrl-C, and its children with it; tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

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


@pytest.fixture
def finding(record_property: Callable[[str, object], None]) -> Finding:
    """Says what a test measured; the end of the run shows it."""
    return lambda text: record_property("finding", text)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where everything is to be shown (`make faults`) a test that was skipped has shown nothing."""
    del item
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and is_whole():
        report.outcome = "failed"
        report.longrepr = f"skipped, and nothing may be: {report.longrepr}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was measured, by test; of `make faults` also what passed, by file."""
    if is_whole():
        terminalreporter.section("tests that passed")
        for line in counted(terminalreporter):
            terminalreporter.write_line(line)
    if lines := told(terminalreporter):
        terminalreporter.section("findings")
        for line in lines:
            terminalreporter.write_line(line)


class Authority:
    """Issues certificates of a moment's worth, as PEM files."""

    def __init__(self, directory: Path) -> None:
        self._ca = trustme.CA()
        self.directory = directory
        self.file = directory / "ca.pem"
        self._ca.cert_pem.write_to_path(self.file)

    def issue(self, name: str, *identities: str, not_after: datetime | None = None) -> tuple[Path, Path]:
        """Certificate and key of `name`, written over those of before; the paths of both.

        Args:
            name: of the files, and the common name.
            identities: alternative names; this machine's by default.
            not_after: when it expires.
        """
        names = identities or ("localhost", "127.0.0.1")
        issued = self._ca.issue_cert(*names, common_name=name, not_after=not_after)
        paths = self.directory / f"{name}.pem", self.directory / f"{name}-key.pem"
        contents = b"".join(blob.bytes() for blob in issued.cert_chain_pems), issued.private_key_pem.bytes()
        for path, content in zip(paths, contents, strict=True):
            new = path.with_suffix(".new")
            new.write_bytes(content)
            new.replace(path)
        return paths


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A certificate authority of this test."""
    directory = tmp_path / "certificates"
    directory.mkdir()
    return Authority(directory)


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
