"""Same learners and seed, same bits: twice, with rows shuffled, on any threads, instruction set and partition."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from covey import _core
from covey.discovery import SILHOUETTE_SAMPLE
from covey.events import Events, read_parquet
from covey.generate import GenerationPlan, event_tables
from covey.parameters import FURTHER_NAMES, TRAIT_NAMES


@pytest.fixture(scope="module")
def generated():
    # Enough learners that two threads both work.
    plan = GenerationPlan(learner_count=40_000, weeks=3, seed=1)
    return pa.concat_tables(table for table, _ in event_tables(plan))


def shuffled(table):
    return table.take(np.random.default_rng(2).permutation(table.num_rows))


def fingerprint(events, threads, k="auto"):
    return events.traits(threads=threads).discover(k=k, threads=threads).fingerprint()


def test_generated_learners(generated):
    expected = fingerprint(Events.from_arrow(generated), 1)
    assert fingerprint(Events.from_arrow(generated), 1) == expected
    assert fingerprint(Events.from_arrow(generated), 2) == expected
    assert fingerprint(Events.from_arrow(shuffled(generated)), 1) == expected
    assert fingerprint(Events.from_arrow(shuffled(generated)), 2) == expected


def test_ids_as_text_are_the_same_learners(generated):
    # More learners than the sample of the silhouette holds, in another order: text sorts otherwise than numbers.
    part = generated.slice(0, 400_000)
    as_text = part.set_column(0, "learner_id", part["learner_id"].cast(pa.string()))
    one = Events.from_arrow(part).traits().discover()
    other = Events.from_arrow(as_text).traits().discover()
    assert len(one.labels) > SILHOUETTE_SAMPLE
    assert one.silhouette_by_k == pytest.approx(dict(other.silhouette_by_k), abs=1e-12)
    assert one.quality.silhouette == pytest.approx(other.quality.silhouette, abs=1e-12)
    assert one.centroids.tobytes() == other.centroids.tobytes()
    assert one.agreement(other) == 1


def test_a_learner_does_not_depend_on_the_others(generated):
    whole = Events.from_arrow(generated)
    as_of = whole.newest_us
    all_traits = whole.traits()
    for remainder in (0, 1):
        keep = np.flatnonzero(generated["learner_id"].to_numpy() % 2 == remainder)
        part = Events.from_arrow(generated.take(keep)).traits(as_of=as_of)
        rows = all_traits.learner_ids.integers % 2 == remainder
        for name in TRAIT_NAMES + FURTHER_NAMES:
            assert part[name].tobytes() == all_traits[name][rows].tobytes(), name


def test_real_learners(shared_data, oulad_mapping, tmp_path):
    path = shared_data("oulad_student_vle.parquet")
    expected = fingerprint(read_parquet(path, oulad_mapping), 1)
    assert fingerprint(read_parquet(path, oulad_mapping), 2) == expected
    pq.write_table(shuffled(pq.read_table(path)), tmp_path / "shuffled.parquet", row_group_size=10_000)
    assert fingerprint(read_parquet(tmp_path / "shuffled.parquet", oulad_mapping), 2) == expected


@pytest.mark.parametrize("isa", _core.available_isas())
def test_every_instruction_set_by_the_command_line(isa, shared_data, oulad_mapping):
    command = [sys.executable, "-m", "covey.cli", "analyze", str(shared_data("oulad_student_vle.parquet"))]
    for name, value in oulad_mapping.items():
        command += [f"--{name.replace('_', '-')}", value]
    found = subprocess.run(
        [*command, "--output", "json"],
        env=os.environ | {"COVEY_ISA": isa},
        capture_output=True,
        check=True,
        timeout=120,
    )
    expected = fingerprint(read_parquet(shared_data("oulad_student_vle.parquet"), oulad_mapping), 1)
    assert json.loads(found.stdout)["fingerprint"] == expected


def test_an_unknown_instruction_set_names_the_known_ones(generated, tmp_path):
    path = tmp_path / "events.parquet"
    pq.write_table(generated.slice(0, 100), path)
    command = [sys.executable, "-m", "covey.cli", "analyze", str(path)]
    wrong = os.environ | {"COVEY_ISA": "mmx"}
    found = subprocess.run(command, env=wrong, capture_output=True, text=True, check=False, timeout=120)
    assert found.returncode == 1
    assert "Traceback" not in found.stderr
    assert all(isa in found.stderr for isa in _core.available_isas())
