"""Output that nobody reads any more is no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def test_a_reader_that_went_away_is_no_traceback(tmp_path: Path) -> None:
    """The answer is small, so that it waits in the buffer until the process ends."""
    path = tmp_path / "events.parquet"
    time = pa.array([datetime(2026, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({"learner_id": ["ann"], "time": time, "domain": ["a"], "capability": ["b"]}), path)
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "covey.cli", "analyze", os.fspath(path), "--k", "1", "--output", "json"],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
            env={"PATH": os.environ["PATH"]},  # without PYTHONUNBUFFERED
        )
    finally:
        os.close(writer)
    assert done.stderr == ""
    assert done.returncode == 1
