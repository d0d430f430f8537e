"""Bad candidates are rolled back: by which statement, on which counters, their share read back as 0.

Two kinds in the suite; COVEY_FAULTS_CANDIDATES=6 for all. tests/faults/test_time_to_zero.py measures the same faults.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from faults.amounts import amount

from .harness import processes_of, report_of, run_demo

pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Fault:
    """A fault, the causes that may decide (any of them is right), and the statements they show."""

    text: str
    statements: tuple[str, ...]
    causes: tuple[str, ...] = ("trigger",)


FAULTS = [
    Fault("error-rate=0.03", ("error_rate > 1 %",)),
    Fault("candidate-crashes", ("", "availability < 98 %", "error_rate > 1 %")),
    Fault("wrong-result=0.02", ("mismatch > 0.5 %",)),
    Fault("latency=300ms@0.05", ("p99 worse than baseline",)),
    Fault("latency-doubled", ("p99 worse than baseline",)),
    Fault(
        "candidate-hangs",
        ("error_rate > 1 %", "availability < 98 %", "p99 > 2 s", "p99 worse than baseline", "mismatch > 0.5 %"),
    ),
]


@pytest.mark.parametrize("fault", FAULTS[: amount("CANDIDATES", 2)], ids=lambda fault: fault.text)
def test_a_bad_candidate_is_rolled_back(fault: Fault, tmp_path: Path) -> None:
    result = run_demo(tmp_path, "--fault", fault.text)
    assert result.returncode == 3, result.stdout + result.stderr
    assert "ROLLED BACK" in result.stdout
    assert "stable variant variants/reference; share of variants/native: 0 %" in result.stdout
    report = report_of(tmp_path)
    assert report["decision"] == "ROLLED BACK"
    if fault.statements[0]:
        assert any(statement in result.stdout for statement in fault.statements), result.stdout
    assert any(character.isdigit() for character in report["reason"]), "the reason has the counters that decided"
    assert not processes_of(tmp_path), "a process outlived the demonstration"
