"""`covey demo --regions 3`: waves, an outage that heals, a bad region, and the report that shows them."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults.amounts import amount

from .harness import processes_of, run_demo

pytestmark = pytest.mark.e2e


@pytest.mark.skipif(not amount("DEMO_REGIONS", 0), reason="two minutes of real time; make faults has it")
def test_three_regions_one_cut_off_and_one_bad(tmp_path: Path) -> None:
    result = run_demo(tmp_path, "--regions", "3", seconds=900.0)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "SUCCEEDED: the candidate serves everybody in eu, us; taken back, which the plan tolerates: ap" in " ".join(
        result.stdout.split()
    )
    for name, stable in (("eu", "native"), ("us", "native"), ("ap", "reference")):
        assert f"stable variant variants/{stable}" in next(
            line for line in " ".join(result.stdout.split()).split(f" {name}: ") if "stable variant" in line[:80]
        )
    report = (tmp_path / "report" / "fleet.md").read_text(encoding="utf-8")
    assert report.startswith("# Fleet native-over-reference: SUCCEEDED")
    assert "out of reach of the coordinator from" in report
    assert (tmp_path / "report" / "fleet.html").stat().st_size > 5000
    assert not processes_of(tmp_path), "a process outlived the demonstration"


def test_a_region_that_is_none_of_them_is_refused(tmp_path: Path) -> None:
    result = run_demo(tmp_path, "--regions", "3", "--bad-region", "mars")
    assert (result.returncode, "expected one of eu, us, ap, none" in result.stderr) == (2, True), result.stderr
    assert not processes_of(tmp_path)
