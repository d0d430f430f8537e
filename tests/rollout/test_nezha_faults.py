"""Real faults of a real service, flagged by relative limits; the table in docs/planning.md."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "examples" / "nezha_faults.py"
DAY = "2022-08-22"


def test_faults_that_the_log_shows_are_flagged(shared_data: Callable[[str], Path]) -> None:
    folder = shared_data(f"nezha_front_service_{DAY}.parquet").parent
    script = runpy.run_path(str(SCRIPT))
    rows = script["judged"](folder, most_quiet=40)
    faults = {row.begins: row for row in rows if row.fault}
    assert len(faults) == 24
    flagged = [row.fault for row in faults.values() if row.shown]
    # Whatever comes at the service itself is seen; what happens far behind it may not reach its log.
    assert all(row.shown for row in faults.values() if row.fault.endswith("frontend"))
    assert len(flagged) >= 15
    by_errors = [row.fault for row in faults.values() if row.shown.startswith("error_rate")]
    assert {fault.split()[0] for fault in by_errors} <= {"return", "exception"}
    quiet = [row for row in rows if not row.fault]
    assert len(quiet) == 40
    assert sum(bool(row.shown) for row in quiet) <= 2
    assert any("| return | 3 | 3 | none |" in line for line in script["summary"](rows))
