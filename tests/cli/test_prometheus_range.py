"""Counters from a real Prometheus server, against the same counters from a file."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from programs import free_port, program

from covey.cli import main

START = datetime(2026, 5, 4, 8, 0, tzinfo=UTC)
STEPS = 40
PLAN = """\
target: analyzer
baseline: reference
candidate: native
phases:
  - {name: canary, traffic_share: 10 %, hold: 10m, criteria: [{statement: error_rate < 1 %, margin: 0}, p99 < 200 ms]}
  - {name: rollout, traffic_share: 100 %, hold: 1d, criteria: [{statement: error_rate < 1 %, margin: 0}]}
triggers: [error_rate > 1.5 %, availability < 99 %]
"""
COUNTED = {"native": (50, 1), "reference": (450, 1)}  # requests and errors per step


def open_metrics() -> str:
    lines = ["# TYPE covey_requests counter"]
    for variant, (requests, errors) in COUNTED.items():
        for code, count in (("OK", requests - errors), ("INTERNAL", errors)):
            labels = f'method="AnalyzeLearner",variant="variants/{variant}",code="{code}"'
            for step in range(STEPS):
                time = (START + timedelta(seconds=30 * step)).timestamp()
                lines.append(f"covey_requests_total{{{labels}}} {count * step} {time}")
    lines.append("# TYPE covey_requests_over_limit counter")
    for variant in COUNTED:
        for step in range(STEPS):
            labels = f'method="AnalyzeLearner",variant="variants/{variant}",limit_seconds="0.2"'
            time = (START + timedelta(seconds=30 * step)).timestamp()
            lines.append(f"covey_requests_over_limit_total{{{labels}}} 0 {time}")
    return "\n".join([*lines, "# EOF", ""])


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    prometheus, promtool = program("prometheus"), program("promtool")
    (tmp_path / "counters.txt").write_text(open_metrics())
    data = tmp_path / "data"
    command = [promtool, "tsdb", "create-blocks-from", "openmetrics", str(tmp_path / "counters.txt"), str(data)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    (tmp_path / "prometheus.yml").write_text("global: {}\n")
    port = free_port()
    server = subprocess.Popen(
        [
            prometheus,
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={data}",
            "--storage.tsdb.retention.time=100y",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "GOMAXPROCS": "1"},
    )
    try:
        assert server.stderr is not None
        # It says so itself, or ends.
        assert any("Server is ready" in line for line in server.stderr), "the server ended before it was ready"
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.communicate(timeout=30)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["rollout", "replay", *arguments])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_a_range_says_what_a_table_says(capsys: pytest.CaptureFixture[str], address: str, tmp_path: Path) -> None:
    with urllib.request.urlopen(f"{address}/-/ready", timeout=10) as ready:
        assert ready.status == 200
    plan, table = tmp_path / "plan.yaml", tmp_path / "table.csv"
    plan.write_text(PLAN)
    rows = ["time,variant,requests,errors,unavailable,shed,over_0.2"]
    for step in range(STEPS):
        time = (START + timedelta(seconds=30 * step)).isoformat()
        rows += [f"{time},{name},{n * step},{bad * step},0,0,0" for name, (n, bad) in COUNTED.items()]
    table.write_text("\n".join(rows))
    end = (START + timedelta(seconds=30 * (STEPS - 1))).isoformat()
    asked = ["--prometheus", address, "--start", START.isoformat(), "--end", end, "--spec", str(plan)]
    code, out, err = run(capsys, *asked, "--output", "json")
    assert (code, err) == (0, "")
    _, expected, _ = run(capsys, str(table), "--cumulative", "--spec", str(plan), "--output", "json")
    for key in ("decision", "verdicts", "events", "explanation"):
        assert json.loads(out)[key] == json.loads(expected)[key]
    code, _, err = run(capsys, *asked, "--query", "errors=nothing_of_that_name")
    assert code == 1
    assert "the query for errors gives no series" in err
    code, _, err = run(capsys, *asked, "--query", "errors=covey_requests_total")
    assert code == 1
    assert "gives two series of variants/" in err


def test_a_server_that_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN)
    times = ["--start", START.isoformat(), "--end", START.isoformat(), "--spec", str(plan)]
    code, _, err = run(capsys, "--prometheus", "http://127.0.0.1:9", *times)
    assert code == 1
    assert "is it a Prometheus server?" in err
    assert run(capsys, "--prometheus", "file:///etc/passwd", *times)[0] == 1
    assert (
        run(capsys, "--prometheus", "http://127.0.0.1:9", "--start", "soon", "--end", "", "--spec", str(plan))[0] == 2
    )
