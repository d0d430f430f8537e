"""What is written of cohorts found in pieces: one Parquet file per piece, and the model as JSON at last."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from covey.cohort_model import CohortModel
from covey.parameters import TRAIT_NAMES


def write_learners(table: Any, archetypes: tuple[str, ...], folder: str, number: int) -> None:
    """Learners as `Cohorts.to_arrow` has them: learner_id, cohort, archetype, then the columns of the traits."""
    import pyarrow.parquet as pq

    from covey.notebook.frames import named

    labels = table.column("cohort")
    table = table.drop_columns(["cohort"]).add_column(1, "cohort", labels)
    table = table.add_column(2, "archetype", named(labels.to_numpy(), archetypes))
    filesystem, root = _place(folder)
    name = f"{root}/learners-{number:05d}.parquet"
    partial = f"{root}/.learners-{number:05d}.partial"
    pq.write_table(table, partial, compression="zstd", filesystem=filesystem)
    filesystem.move(partial, name)


def write_model(model: CohortModel, folder: str, facts: dict[str, Any]) -> None:
    """The model as model.json, with facts about the run; whoever finds it finds all learners beside it."""
    data = facts | {
        "k": model.k,
        "seed": model.seed,
        "trait_names": list(TRAIT_NAMES),
        "trait_weights": list(model.trait_weights),
        "centroids": model.centroids.astype(float).tolist(),
        "cohorts": [asdict(row) for row in model.cohorts],
        "parameters": asdict(model.parameters),
        "quality": asdict(model.quality),
    }
    filesystem, root = _place(folder)
    with filesystem.open_output_stream(f"{root}/.model.partial") as stream:
        stream.write(json.dumps(data, indent=2).encode())
    filesystem.move(f"{root}/.model.partial", f"{root}/model.json")


def make_folder(folder: str) -> None:
    """Make the folder where it is not there yet."""
    filesystem, root = _place(folder)
    filesystem.create_dir(root, recursive=True)


def _place(folder: str) -> tuple[Any, str]:
    """A file system of pyarrow and a path in it, from a URI or a path of this machine."""
    from pathlib import Path

    from pyarrow import fs

    if "://" in folder:
        filesystem, root = fs.FileSystem.from_uri(folder)
        return filesystem, root.rstrip("/")
    return fs.LocalFileSystem(), str(Path(folder).absolute())
