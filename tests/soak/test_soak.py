"""The machinery of `make soak`: its judge on samples whose truth is known, and the whole of it for some seconds."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from waiting import wait_until

from .campaign import NOT_OURS, methods_of_the_contract, soak, unanswered
from .judge import Samples, judge
from .watch import Watch

HOUR = np.arange(0.0, 3600.0)
WARM_UP_SECONDS = 600.0
PROTOS = Path(__file__).parents[2] / "proto" / "covey" / "v1"


def hour_of(mebibytes_per_ten_minutes: float, seed: int = 0) -> Samples:
    """An hour of a process that allocates and frees, with bursts of large calls and caches that fill at the start."""
    random = np.random.default_rng(seed)
    breathing = 2.0 * np.sin(HOUR / 40) + random.normal(0, 0.5, len(HOUR))
    bursts = np.where(HOUR % 60 < 10, random.uniform(0, 80, len(HOUR)), 0)
    filling = 30 * (1 - np.exp(-HOUR / 100))
    mebibytes = 100 + breathing + bursts + filling + HOUR * mebibytes_per_ten_minutes / 600
    return Samples("server", list(HOUR), list(mebibytes), 100.0, float(mebibytes.max()))


def problems_of(samples: Samples) -> tuple[str, ...]:
    return judge(samples, warm_up_seconds=WARM_UP_SECONDS, budget_mebibytes=128).problems


@pytest.mark.parametrize("seed", range(5))
def test_bursts_and_a_warm_up_are_no_growth(seed: int) -> None:
    verdict = judge(hour_of(0.0, seed), warm_up_seconds=WARM_UP_SECONDS, budget_mebibytes=128)
    assert verdict.problems == ()
    assert abs(verdict.slope_mebibytes) < 0.2


@pytest.mark.parametrize("seed", range(5))
def test_a_small_leak_under_bursts_is_found(seed: int) -> None:
    """The twin: 1.3 MiB in ten minutes, far below what a burst takes."""
    (problem,) = problems_of(hour_of(1.3, seed))
    assert problem.startswith("server grows by 1.")
    slope = judge(hour_of(1.3, seed), warm_up_seconds=WARM_UP_SECONDS, budget_mebibytes=128).slope_mebibytes
    assert slope == pytest.approx(1.3, abs=0.2)


def test_the_peak_is_judged_too() -> None:
    steady = hour_of(0.0)
    assert problems_of(replace(steady, peak_mebibytes=292.0)) == ()
    (problem,) = problems_of(replace(steady, peak_mebibytes=293.0))
    assert "193 MiB more than at rest; 192" in problem


def test_too_few_samples_are_no_verdict() -> None:
    with pytest.raises(ValueError, match="2 samples after the warm-up of 600 s"):
        judge(Samples("server", [0, 700, 800], [1, 1, 1], 1, 1), warm_up_seconds=600, budget_mebibytes=1)


def test_a_real_process_that_leaks_is_found() -> None:
    """The other twin, through the sampling too."""
    program = (
        "import sys,time\nkept = []\nfor line in sys.stdin: kept.append(b'x' * 2**20); print(len(kept), flush=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as leaking:
        assert leaking.stdin is not None
        assert leaking.stdout is not None
        watch = Watch({"leaking": leaking.pid}, 0.01)
        for _ in range(30):
            leaking.stdin.write("more\n")
            leaking.stdin.flush()
            leaking.stdout.readline()
            before = len(watch.samples_of("leaking"))
            wait_until(lambda before=before: len(watch.samples_of("leaking")) > before)  # type: ignore[misc]
        (samples,) = watch.stop()
        leaking.stdin.close()
    problems = judge(samples, warm_up_seconds=0.0, budget_mebibytes=0).problems
    assert "leaking grows by" in problems[0]


def test_a_process_that_ends_is_noticed() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True) as process:
        watch = Watch({"short": process.pid}, 0.01)
        process.communicate("\n")
        wait_until(lambda: watch.ended == ["short"])
        watch.stop()


def test_every_rpc_of_the_contract_must_be_answered() -> None:
    """Read from the sources of the contract: what is added there and not called here makes a long soak fail."""
    texts = [path.read_text() for path in PROTOS.glob("*.proto")]
    written = [name for text in texts for name in re.findall(r"^  rpc (\w+)\(", text, re.MULTILINE)]
    assert len(set(written)) == len(written), "calls are counted by the name of the method alone"
    assert set(written) >= NOT_OURS
    answered = {method: {"OK": 1} for method in written}
    assert unanswered(answered) == []
    for method in set(written) - NOT_OURS:
        problem = [f"{method} was never answered"]
        assert unanswered({other: codes for other, codes in answered.items() if other != method}) == problem
        assert unanswered(answered | {method: {"RESOURCE_EXHAUSTED": 3}}) == problem


@pytest.mark.e2e
def test_some_seconds_of_the_whole(tmp_path: Path) -> None:
    """Every part works; so short a time says nothing about slopes."""
    report = soak(3.0, interval_seconds=0.1, seed=1, place=tmp_path, out=tmp_path / "out")
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == json.loads(json.dumps(report))
    assert (tmp_path / "out" / "memory.svg").read_text().startswith("<?xml")
    assert [problem for problem in report["problems"] if "grows by" not in problem] == []
    assert report["calls"]["AnalyzeLearner"]["OK"] > 20
    assert report["calls"]["AnalyzeLearner"]["RESOURCE_EXHAUSTED"] > 0, "the crowd was refused"
    assert report["calls"]["CreateRollout"] == {"OK": 1}
    assert {"AppendEvents", "AnalyzeLearners", "DiscoverCohorts"} <= report["calls"].keys()
    # Rollouts, and what comes with them, take longer than this; every call of the other services was answered.
    slow = {"AccessService", "AnalyzerService", "OutcomeService", "RolloutService"}
    contract = methods_of_the_contract()
    assert slow < contract.keys()
    quick = {f"{method} was never answered" for name in contract.keys() - slow for method in contract[name]}
    assert quick & set(unanswered(report["calls"])) == set()
    assert [verdict["process"] for verdict in report["verdicts"]] == ["server", "controller"]
    assert all(verdict["rest_mebibytes"] > 20 for verdict in report["verdicts"])
