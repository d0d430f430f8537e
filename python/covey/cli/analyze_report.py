"""The answer of `covey analyze`: the table of cohorts, the same as data, and outcomes joined from another table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covey.cli.output import OutputFormat, print_data, print_table, print_text
from covey.cohorts import Cohorts
from covey.errors import InputError, suggestion
from covey.parameters import TRAIT_NAMES

_SHORT_TRAIT_NAMES = ("veloc.", "affin.", "freq.", "feedb.", "reten.")


@dataclass(frozen=True, slots=True)
class Join:
    """Which learners have an outcome: those with a row in `file` whose `column` holds one of `values`.

    Attributes:
        file: a Parquet file.
        key: its column of learner ids.
        column: the outcome's column.
        values: what counts.
        where: rows to use: columns and the values allowed there.
    """

    file: Path
    key: str
    column: str
    values: frozenset[str]
    where: tuple[tuple[str, frozenset[str]], ...]


@dataclass(frozen=True, slots=True)
class OutcomeShares:
    """Per cohort, the share of learners with the outcome.

    Attributes:
        name: column and values.
        shares: of the learners of each cohort that have a row; None where none has.
        found_count: learners with at least one row.
        ambiguous_count: learners with rows of both kinds; they count as having the outcome.
    """

    name: str
    shares: tuple[float | None, ...]
    found_count: int
    ambiguous_count: int


def parse_join(join_share: str | None, join_where: list[str] | None) -> Join | None:
    """From "file:key:column=value,value" and "column=value,value" each; values part at commas or bars."""
    if join_share is None:
        if join_where:
            raise InputError("--join-where needs --join-share")
        return None
    place, equals, values = join_share.partition("=")
    parts = place.rsplit(":", 2)
    if len(parts) != 3 or not all(parts) or not equals or not values:
        raise InputError(f"--join-share is '{join_share}'", expected="FILE:KEY:COLUMN=VALUE[,VALUE]")
    where = []
    for condition in join_where or []:
        column, equals, allowed = condition.partition("=")
        if not column or not equals:
            raise InputError(f"--join-where is '{condition}'", expected="COLUMN=VALUE[,VALUE]")
        where.append((column, _split(allowed)))
    return Join(Path(parts[0]), parts[1], parts[2], _split(values), tuple(where))


def outcome_shares(cohorts: Cohorts, join: Join) -> OutcomeShares:
    """Join the outcomes to the learners by the text of their ids.

    Raises:
        InputError: for a missing column, or when no learner has a row.
    """
    from covey.events_parquet import open_parquet, parquet_files

    (file,) = parquet_files(join.file)
    parquet = open_parquet(file)
    needed = [join.key, join.column, *(column for column, _ in join.where)]
    for name in needed:
        if name not in parquet.schema_arrow.names:
            remedy = suggestion(name, parquet.schema_arrow.names)
            raise InputError("there is no such column", source=str(file), column=name, remedy=remedy)
    table = parquet.read(columns=sorted(set(needed)))
    texts = {name: [str(value) for value in table[name].to_pylist()] for name in set(needed)}
    position = {text: index for index, text in enumerate(cohorts.traits.learner_ids.texts())}
    has_outcome = np.zeros(len(cohorts.labels), dtype=bool)
    has_other = np.zeros(len(cohorts.labels), dtype=bool)
    for row, learner_id in enumerate(texts[join.key]):
        index = position.get(learner_id)
        if index is None or not all(texts[column][row] in allowed for column, allowed in join.where):
            continue
        (has_outcome if texts[join.column][row] in join.values else has_other)[index] = True
    found = has_outcome | has_other
    if not found.any():
        remedy = "check the key column and --join-where"
        raise InputError("no learner has a row there", source=str(file), column=join.key, remedy=remedy)
    return OutcomeShares(
        name=f"{join.column}={','.join(sorted(join.values))}",
        shares=_share_by_cohort(cohorts, has_outcome, found),
        found_count=int(found.sum()),
        ambiguous_count=int((has_outcome & has_other).sum()),
    )


def save(cohorts: Cohorts, path: Path) -> None:
    """Write `cohorts.to_arrow()` to a Parquet file, which appears only when it is complete."""
    import pyarrow.parquet as pq

    partial = path.with_name(f".{path.name}.partial")
    try:
        pq.write_table(cohorts.to_arrow(), partial, compression="zstd")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def print_report(cohorts: Cohorts, row_count: int, outcome: OutcomeShares | None, output: OutputFormat) -> None:
    """Print the cohorts in the form asked for."""
    if output is not OutputFormat.table:
        print_data(report_data(cohorts, row_count, outcome), output)
        return
    traits, quality = cohorts.traits, cohorts.quality
    ignored = f", {traits.ignored_event_count:,} later events ignored" if traits.ignored_event_count else ""
    print_text(f"{row_count:,} rows, {len(traits):,} learners; as of {_instant(cohorts)}{ignored}")
    headings = ["", "archetype", "learners", "share", *_SHORT_TRAIT_NAMES]
    rows = [
        [str(row.index), row.archetype, f"{row.size:,}", f"{row.share:.1%}", *(f"{x:.3f}" for x in row.mean_traits)]
        for row in cohorts.model.cohorts
    ]
    if outcome is not None:
        headings.append("outcome")
        for row, share in zip(rows, outcome.shares, strict=True):
            row.append("-" if share is None else f"{share:.1%}")
    print_text("")
    print_table(headings, rows, left=frozenset({0, 1}))
    print_text("")
    if outcome is not None:
        both = f", {outcome.ambiguous_count:,} of them with other values too" if outcome.ambiguous_count else ""
        print_text(f"outcome: {outcome.name}, known of {outcome.found_count:,} learners{both}")
    silhouette = "-" if quality.silhouette is None else f"{quality.silhouette:.4f}"
    ending = "converged" if quality.converged else "NOT converged"
    print_text(
        f"silhouette {silhouette}, inertia {quality.inertia:.6g}, {ending} after {quality.iterations} iterations"
    )
    print_text(f"fingerprint {cohorts.fingerprint()}")


def report_data(cohorts: Cohorts, row_count: int, outcome: OutcomeShares | None) -> dict[str, Any]:
    """The report as plain data."""
    traits, quality = cohorts.traits, cohorts.quality
    rows = []
    for row in cohorts.model.cohorts:
        entry: dict[str, Any] = {"cohort": row.index, "archetype": row.archetype}
        entry |= {"learner_count": row.size, "share": row.share}
        entry["mean_traits"] = dict(zip(TRAIT_NAMES, row.mean_traits, strict=True))
        if outcome is not None:
            entry["outcome_share"] = outcome.shares[row.index]
        rows.append(entry)
    data: dict[str, Any] = {
        "row_count": row_count,
        "learner_count": len(traits),
        "as_of": _instant(cohorts),
        "ignored_event_count": traits.ignored_event_count,
        "engine": traits.engine,
        "k": cohorts.model.k,
        "seed": cohorts.model.seed,
        "cohorts": rows,
        "quality": {
            "inertia": quality.inertia,
            "silhouette": quality.silhouette,
            "iterations": quality.iterations,
            "converged": quality.converged,
            "silhouette_by_k": {str(k): value for k, value in cohorts.silhouette_by_k.items()},
        },
        "fingerprint": cohorts.fingerprint(),
    }
    if outcome is not None:
        data["outcome"] = {
            "name": outcome.name,
            "known_learner_count": outcome.found_count,
            "ambiguous_learner_count": outcome.ambiguous_count,
        }
    return data


def _share_by_cohort(
    cohorts: Cohorts, has_outcome: NDArray[np.bool_], found: NDArray[np.bool_]
) -> tuple[float | None, ...]:
    known = np.bincount(cohorts.labels[found], minlength=len(cohorts))
    having = np.bincount(cohorts.labels[has_outcome], minlength=len(cohorts))
    return tuple(int(part) / int(whole) if whole else None for part, whole in zip(having, known, strict=True))


def _instant(cohorts: Cohorts) -> str:
    return cohorts.traits.as_of.isoformat().replace("+00:00", "Z")


def _split(values: str) -> frozenset[str]:
    return frozenset(value.strip() for value in values.replace("|", ",").split(","))
