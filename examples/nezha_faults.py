"""Injected faults of a real service (the Nezha data set) through the live decide(): which are flagged, what else is.

    python examples/nezha_faults.py [FOLDER]          # default ../shared/data beside the project

The log has one row per minute: quantiles of the latency and the share of successes, no counts. Counts are made of it so
that they understate: a minute is taken as 100 requests; of those, one is slower than everything below the printed p99,
five than everything below the p95, ten below the p90 and fifty below the p50. The first fault comes three minutes after
the log begins, so the baseline is a quiet hour of the same day after the last fault, and it is not judged itself. Each
window of five minutes is a rollout of its own, to half of the traffic, under RELATIVE_PLAN.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from covey.report import words
from covey.rollout.sample_replay import rehearse_samples
from covey.rollout.samples import read_samples
from covey.rollout.spec import load_spec
from covey.rollout.state import State

DAY = "2022-08-22"
PROJECT = Path(__file__).resolve().parent.parent
FOLDER = PROJECT.parent / "shared" / "data"
REQUESTS = 100
WINDOW_SECONDS = 300
WINDOW_ROWS = 5
SETTLING_SECONDS = 900
BASELINE_ROWS = 60
EDGES = [round(0.1 * 1.25**step, 4) for step in range(30)]
QUANTILES = (("LatencyP50_s", 50), ("LatencyP90_s", 10), ("LatencyP95_s", 5), ("LatencyP99_s", 1))

RELATIVE_PLAN = """
target: frontend
baseline: quiet
candidate: running
tick_interval: 1m
phases:
  - name: window
    traffic_share: 50 %
    hold: 1h
    criteria: [{statement: p90 not worse than baseline, report_only: true}]
triggers:
  - {statement: error_rate > 5 %}
  - {statement: p90 worse than baseline}
"""


class Judged(NamedTuple):
    """A window: when it begins, the fault in it (empty: none), what was shown (empty: nothing)."""

    begins: int
    fault: str
    shown: str


def minutes(rows: Sequence[dict[str, Any]], variant: str, first: int) -> list[list[Any]]:
    """Rows of a table of counters, a minute apart from minute `first` on."""
    table = []
    for number, row in enumerate(rows):
        over = [max((count for name, count in QUANTILES if row[name] > edge), default=0) for edge in EDGES]
        table.append([f"{first + number}m", variant, REQUESTS, int(REQUESTS - row["SuccessRate_pct"]), *over])
    return table


def judge(window: Sequence[dict[str, Any]], quiet: Sequence[dict[str, Any]]) -> str:
    """The statement that rolls this window back; empty where none does."""
    header = ["time", "variant", "requests", "errors", *(f"over_{edge:g}" for edge in EDGES)]
    begins = len(quiet) + 1
    table = minutes(quiet, "quiet", 1)
    for pair in zip(minutes(window, "running", begins), minutes(quiet[: len(window)], "quiet", begins), strict=True):
        table += pair
    samples = read_samples(header, table, f"{DAY}.log")
    begin = samples.samples[len(quiet) - 1].time
    made = rehearse_samples(load_spec(RELATIVE_PLAN, "RELATIVE_PLAN"), samples, begins=begin)
    if made.state.state != State.STATE_ROLLED_BACK:
        return ""
    return next(e.rollback_started.statement for e in made.entries if e.HasField("rollback_started"))


def judged(folder: Path, most_quiet: int = 1000) -> list[Judged]:
    """Every fault's window, and the first so many quiet windows of the day."""
    import pyarrow.parquet as pq

    log = pq.read_table(folder / f"nezha_front_service_{DAY}.parquet").to_pylist()
    found = pq.read_table(folder / f"nezha_faults_{DAY}.parquet").to_pylist()
    faults = {row["inject_ts_utc"]: f"{row['inject_type']} {row['inject_pod'].split('-')[0]}" for row in found}
    settled = max(faults) + SETTLING_SECONDS
    start = next(number for number, row in enumerate(log) if row["TimeStamp"] >= settled)
    quiet, later = log[start : start + BASELINE_ROWS], log[start + BASELINE_ROWS :]
    made = []
    for begins, fault in sorted(faults.items()):
        window = [row for row in log if begins <= row["TimeStamp"] < begins + WINDOW_SECONDS]
        made.append(Judged(begins, fault, judge(window, quiet)))
    for number in range(0, len(later) - WINDOW_ROWS + 1, WINDOW_ROWS)[:most_quiet]:
        window = later[number : number + WINDOW_ROWS]
        made.append(Judged(window[0]["TimeStamp"], "", judge(window, quiet)))
    return made


def summary(rows: Sequence[Judged]) -> list[str]:
    """The table of hits and misses, by kind of fault, and the false alarms, as Markdown."""
    lines = ["| fault | injected | flagged | missed |", "|---|---|---|---|"]
    kinds = sorted({row.fault.split()[0] for row in rows if row.fault})
    for kind in kinds:
        mine = [row for row in rows if row.fault.split()[:1] == [kind]]
        missed = ", ".join(row.fault.split()[1] for row in mine if not row.shown) or "none"
        lines.append(f"| {kind} | {len(mine)} | {sum(bool(row.shown) for row in mine)} | {missed} |")
    calm = [row for row in rows if not row.fault]
    alarms = [row for row in calm if row.shown]
    lines += ["", f"False alarms: {len(alarms)} of {len(calm)} quiet windows of five minutes."]
    lines += [f"- {words.moment(datetime.fromtimestamp(row.begins, UTC))}: {row.shown}" for row in alarms]
    return lines


if __name__ == "__main__":
    print("\n".join(summary(judged(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER))))  # noqa: T201
