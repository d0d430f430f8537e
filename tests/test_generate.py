"""The generator: the same plan gives the same events, whatever else is generated with them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from covey import generate
from covey.agreement import adjusted_rand_index
from covey.errors import InputError
from covey.events import Events, read_parquet
from covey.generate import GenerationPlan, event_tables, kinds_path, write_parquet
from covey.generate_kinds import KIND_NAMES, draw_behaviours


def table_of(plan):
    return pa.concat_tables(table for table, _ in event_tables(plan))


def test_the_same_plan_gives_the_same_file(tmp_path):
    plan = GenerationPlan(learner_count=300, seed=4)
    first, second = tmp_path / "1.parquet", tmp_path / "2.parquet"
    count = write_parquet(plan, first, with_kinds=True)
    assert write_parquet(plan, second) == count == pq.read_metadata(first).num_rows
    assert first.read_bytes() == second.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.kinds.parquet", "1.parquet", "2.parquet"]
    kinds = pq.read_table(kinds_path(first))
    assert kinds["learner_id"].to_pylist() == list(range(1, 301))
    assert set(kinds["kind"].to_pylist()) == set(KIND_NAMES)


def test_seeds_and_noise_change_the_events():
    tables = [
        table_of(GenerationPlan(learner_count=50, seed=seed, noise=noise)) for seed, noise in ((0, 0), (1, 0), (0, 0.5))
    ]
    assert not tables[0].equals(tables[1])
    assert not tables[0].equals(tables[2])


def test_more_learners_only_add_learners(monkeypatch):
    monkeypatch.setattr(generate, "BLOCK_LEARNERS", 64)
    many = table_of(GenerationPlan(learner_count=200, seed=2))
    few = table_of(GenerationPlan(learner_count=70, seed=2))
    assert many.slice(0, few.num_rows).equals(few)
    ids = many["learner_id"].to_numpy()
    assert np.unique(ids).tolist() == list(range(1, 201))
    times = many["time"].to_numpy().astype(np.int64)
    blocks = [times[(ids - 1) // 64 == block][:500].tolist() for block in range(3)]
    assert blocks[0] != blocks[1] != blocks[2] != blocks[0]
    same_learner = np.diff(ids) == 0
    assert (np.diff(ids) >= 0).all()
    assert (np.diff(times)[same_learner] >= 0).all()


def test_the_events_are_as_promised():
    table = table_of(GenerationPlan(learner_count=3_000, weeks=8, seed=1))
    events = Events.from_arrow(pa.Table.from_batches(table.to_batches(max_chunksize=50_000)))
    assert 50 < len(events) / 3_000 < 62
    assert len(events.domains) == 12
    assert len(events.capabilities) == 100
    start = generate.START_US
    assert events.time.dtype == np.uint32
    assert start <= events.time_us.min() <= events.time_us.max() < start + 8 * 7 * 86_400_000_000
    is_feedback = events.kind == 4
    assert 0.05 < is_feedback.mean() < 0.15
    assert events.action_taken[~is_feedback].sum() == 0
    assert table["action_taken"].null_count == (~is_feedback).sum()
    assert events.weight.min() >= 1


@pytest.mark.parametrize("weeks", [1, 60])
def test_every_learner_has_an_event(weeks, monkeypatch):
    monkeypatch.setattr(generate, "BLOCK_LEARNERS", 64)
    ids = table_of(GenerationPlan(learner_count=40, weeks=weeks))["learner_id"].to_numpy()
    assert np.unique(ids).tolist() == list(range(1, 41))


def test_long_lives_exhaust_the_capabilities(monkeypatch):
    monkeypatch.setattr(generate, "BLOCK_LEARNERS", 64)
    events = Events.from_arrow(table_of(GenerationPlan(learner_count=60, weeks=200, seed=3)))
    pairs = np.unique(np.stack([events.learner_index_of_rows(), events.capability_index]), axis=1)
    assert np.bincount(pairs[0]).max() == 100


def test_noise_makes_kinds_alike():
    def spread_between_kinds(noise):
        kind, behaviours = draw_behaviours(np.random.default_rng(0), 6_000, noise)
        means = [np.log(behaviours["curiosity"][kind == number]).mean() for number in range(len(KIND_NAMES))]
        return np.std(means)

    assert spread_between_kinds(1.0) < 0.05 < spread_between_kinds(0.5) < spread_between_kinds(0.0)


def test_discovery_finds_something_of_the_kinds(tmp_path):
    path = tmp_path / "events.parquet"
    write_parquet(GenerationPlan(learner_count=3_000, seed=5), path, with_kinds=True)
    kinds = pq.read_table(kinds_path(path))["kind"].combine_chunks().indices.to_numpy()
    cohorts = read_parquet(path).traits().discover(k=len(KIND_NAMES))
    assert adjusted_rand_index(cohorts.labels, kinds) > 0.4


def test_a_folder_of_files(tmp_path, monkeypatch):
    monkeypatch.setattr(generate, "BLOCK_LEARNERS", 16)
    plan = GenerationPlan(learner_count=600, seed=4)
    folder = tmp_path / "events"
    (tmp_path / "events").mkdir()
    count = write_parquet(plan, folder, with_kinds=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events", "events.kinds.parquet"]
    assert [path.name for path in sorted(folder.iterdir())] == [f"part-{number:05d}.parquet" for number in range(3)]
    assert pq.read_table(folder).equals(table_of(plan)) and count == table_of(plan).num_rows
    with pytest.raises(InputError, match="it is there already"):
        write_parquet(plan, folder)


@pytest.mark.parametrize("name", ["events.parquet", "events"])
def test_a_failed_write_leaves_nothing(tmp_path, name):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_parquet(GenerationPlan(learner_count=10), tmp_path / name, progress=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "bad", [{"learner_count": 0}, {"weeks": 0}, {"weeks": 521}, {"seed": -1}, {"noise": 1.1}, {"noise": float("nan")}]
)
def test_plans_out_of_range(bad):
    with pytest.raises(InputError):
        GenerationPlan(**({"learner_count": 1} | bad))
