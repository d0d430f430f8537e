"""A real Ray cluster of three workers on this machine: the bits of one process, also when workers are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from programs import processes_below
from waiting import wait_until

from covey.distributed import ray_engine
from covey.distributed.ray_engine import connected, discovered
from covey.errors import InputError
from covey.generate import GenerationPlan, event_tables
from covey.out_of_core import traits_of_parquet

# Ray leaves its processes to themselves at the end of an interpreter, and forks.
pytestmark = [pytest.mark.e2e, pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")]

WORKERS = 3
LEARNERS = int(os.environ.get("COVEY_RAY_LEARNERS", "3000"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of two files in the order of their learners."""
    place = tmp_path_factory.mktemp("events")
    table = pa.concat_tables(
        table for table, _ in event_tables(GenerationPlan(learner_count=LEARNERS, weeks=2, seed=1))
    )
    half = table.num_rows // 2
    pq.write_table(table.slice(0, half), place / "0.parquet", row_group_size=2000)
    pq.write_table(table.slice(half), place / "1.parquet", row_group_size=2000)
    return place


@pytest.fixture(scope="module")
def expected(folder):
    return traits_of_parquet(folder)[0].discover().fingerprint()


@pytest.fixture(scope="module", autouse=True)
def cluster():
    with pytest.MonkeyPatch.context() as patch:
        # A machine twenty times slower is waited for, too: Ray gives up by itself after half a minute.
        patch.setattr(ray_engine, "MOST_STARTS", 20)
        with connected(None, WORKERS, 128 << 20) as ray:
            yield ray


def workers_below(process):
    """Processes of keepers whose raylet this process, or one below it, started."""
    return [child for child, title in processes_below(process).items() if title.startswith(b"ray::RayKeeper")]


class KillAt:
    """Progress that kills a worker at each of some steps, once, when it is told of something done there."""

    def __init__(self, *steps):
        self.steps = list(steps)
        self.killed = []
        self.others = set(workers_below(os.getpid()))  # of the test before: they are about to end

    def __call__(self, what, done, total, unit):
        for step, least in self.steps:
            if what.startswith(step) and done >= least:
                self.steps.remove((step, least))
                self.killed.append(wait_until(self.worker))
                os.kill(self.killed[-1], signal.SIGKILL)
                return

    def worker(self):
        return min((each for each in workers_below(os.getpid()) if each not in self.others), default=None)


def test_the_bits_of_one_process(folder, expected, tmp_path):
    told = []
    with discovered(folder, workers=WORKERS, rows_per_piece=5000, progress=lambda *step: told.append(step)) as found:
        cohorts = found.collected()
        assert cohorts.fingerprint() == expected
        assert found.lost_workers == 0
        assert (found.learner_count, found.row_count) == (LEARNERS, cohorts.traits["event_count"].sum())
        found.write(str(tmp_path / "out"))
    steps = [step for step in told if step[0] == "traits"]
    assert steps[0][1] == 0 and steps[-1][1] == steps[-1][2] == found.row_count
    assert len(steps) > WORKERS
    written = pa.concat_tables(map(pq.read_table, (tmp_path / "out").glob("*.parquet"))).sort_by("learner_id")
    whole = cohorts.to_arrow()
    assert written.schema.names == whole.schema.names
    for name in whole.schema.names:
        assert written.column(name).to_pylist() == whole.column(name).to_pylist(), name
    model = json.loads((tmp_path / "out" / "model.json").read_text())
    assert np.array(model["centroids"], np.float32).tobytes() == cohorts.centroids.tobytes()
    assert model["learner_count"] == LEARNERS
    assert not [path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]


def test_workers_killed_in_the_middle(folder, expected):
    kill = KillAt(("traits", 1), ("k-means with k", 0), ("collecting", 1))
    with discovered(folder, workers=WORKERS, rows_per_piece=5000, progress=kill) as found:
        assert found.collected().fingerprint() == expected
        assert found.spilled_count == 0
    assert len(set(kill.killed)) == 3
    assert found.lost_workers == 3


def test_rows_in_any_order_in_too_little_memory_and_a_worker_killed(folder, expected, tmp_path):
    table = pq.read_table(folder)
    order = np.random.default_rng(2).permutation(table.num_rows)
    pq.write_table(table.take(order), tmp_path / "shuffled.parquet", row_group_size=4000)
    kill = KillAt(("k-means with k", 0))
    with discovered(tmp_path.as_uri(), workers=2, rows_per_piece=5000, memory_bytes=512 << 20, progress=kill) as found:
        assert found.collected().fingerprint() == expected
        assert found.lost_workers == 1
        assert found.spilled_count > 2


def test_bad_input_is_said_as_one_process_says_it(folder, tmp_path):
    table = pq.read_table(folder)
    weights = np.ones(table.num_rows)
    weights[table.num_rows // 2] = np.nan
    pq.write_table(table.append_column("weight", pa.array(weights)), tmp_path / "bad.parquet", row_group_size=2000)
    with pytest.raises(InputError) as whole:
        traits_of_parquet(tmp_path)
    with pytest.raises(InputError) as found, discovered(tmp_path, rows_per_piece=5000, workers=1):
        pass
    assert str(found.value) == str(whole.value)
    with pytest.raises(InputError, match="every event is later"), discovered(folder, as_of=0, workers=1):
        pass


def test_a_worker_that_dies_too_often_ends_it(folder, monkeypatch):
    monkeypatch.setattr(ray_engine, "MOST_RESTARTS", 0)
    kill = KillAt(("k-means with k", 0))
    with (
        pytest.raises(InputError, match="a worker of Ray died more than 0 times"),
        discovered(folder, workers=1, rows_per_piece=5000, progress=kill),
    ):
        pass
    assert kill.killed


def test_the_command(folder, expected, tmp_path):
    """As docs/engines.md has it, with fewer workers."""
    command = [sys.executable, "-m", "covey.cli", "analyze", str(folder), "--engine", "ray", "--threads", "2"]
    done = subprocess.run(
        [*command, "--output", "json", "--save", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["fingerprint"] == expected
    assert (tmp_path / "out" / "model.json").is_file()
    refused = subprocess.run(
        [*command[:5], "--ray-address", "auto"], capture_output=True, text=True, check=False, timeout=600
    )
    assert refused.returncode == 1
    assert "--ray-address needs --engine ray" in refused.stderr
