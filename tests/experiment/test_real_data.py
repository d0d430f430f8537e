"""Real customers: an A/A split finds nothing, a split that was none is refused, known shares come out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from covey import _core
from covey.experiment import Columns, DecideBy, Design, Verdict, analyze, analyze_segments, parse_outcome, parse_segment

OUTCOMES = (
    "churn=proportion:Churn=Yes;lower",
    "charges=mean:MonthlyCharges;cuped=tenure",
    "total=mean:TotalCharges;missing=drop",
    "per_month=ratio:TotalCharges/tenure;missing=zero",
    "median=quantile:MonthlyCharges@0.5",
    "leaving=time:tenure,Churn=Yes",
    "year=time:tenure,Churn=Yes;horizon=12",
    "value=formula:MonthlyCharges * tenure",
)


@pytest.fixture(scope="module")
def telco(shared_data: Callable[[str], Path]) -> pa.Table:
    table = pq.read_table(shared_data("telco_churn.parquet"))
    ids = table["customerID"].cast(pa.large_string()).combine_chunks()
    _, offsets, data = ids.buffers()
    hashes = _core.bucket_strings(
        "a/a", np.frombuffer(offsets, np.int64)[: len(ids) + 1], np.frombuffer(data, np.uint8)
    )
    return table.append_column("arm", pa.array(np.where(hashes < 2**31, "a", "b")))


def design(variant: str = "arm", **changes: object) -> Design:
    columns = Columns(unit="customerID", variant=variant)
    return Design(tuple(map(parse_outcome, OUTCOMES)), columns=columns, decide_by=DecideBy.fixed, **changes)  # type: ignore[arg-type]


@pytest.mark.data
def test_nothing_is_found_where_nothing_was_changed(telco: pa.Table) -> None:
    result = analyze(telco, design())
    assert not result.split.is_mismatch
    assert {one.verdict for one in result.comparisons} == {Verdict.undecided}
    churn = result.comparisons[0]
    count = sum(arm.units * (arm.value or 0) for arm in (churn.candidate, churn.control))
    assert round(count / 7043, 4) == 0.2654
    assert "11 units have no total and are left out" in result.warnings[0]
    assert result.comparisons[1].variance_explained == pytest.approx(
        np.corrcoef(telco["MonthlyCharges"].to_numpy(), telco["tenure"].to_numpy())[0, 1] ** 2, rel=1e-6
    )


@pytest.mark.data
def test_paperless_billing_was_no_experiment(telco: pa.Table) -> None:
    """Who chose it was not assigned: the split shows it before anybody reads the 33 % against 16 % who churned."""
    result = analyze(telco, design("PaperlessBilling"))
    assert result.headline.startswith("INVALID")
    assert {one.verdict for one in result.comparisons} == {Verdict.invalid}


@pytest.mark.data
def test_a_harm_put_into_one_contract_is_found_there(telco: pa.Table) -> None:
    charges = telco["MonthlyCharges"].to_numpy()
    hit = (telco["Contract"].to_numpy(zero_copy_only=False) == "One year") & (
        telco["arm"].to_numpy(zero_copy_only=False) == "b"
    )
    moved = telco.set_column(
        telco.column_names.index("MonthlyCharges"), "MonthlyCharges", pa.array(np.where(hit, charges - 15, charges))
    )
    parts = tuple(map(parse_segment, ("Contract", "InternetService", "tenure:q4")))
    result = analyze_segments(
        moved,
        Design(
            (parse_outcome("charges=mean:MonthlyCharges"),),
            segments=parts,
            columns=Columns(unit="customerID", variant="arm"),
        ),
    )
    harmed = {(t.column, row.name) for t in result.tables for row in t.rows if row.verdict.value == "HARMED"}
    assert ("Contract", "One year") in harmed
    assert not [row for row in harmed if row[0] == "Contract" and row[1] != "One year"]
    untouched = analyze_segments(
        telco,
        Design(
            (parse_outcome("charges=mean:MonthlyCharges"),),
            segments=parts,
            columns=Columns(unit="customerID", variant="arm"),
        ),
    )
    assert not [row for t in untouched.tables for row in t.rows if row.verdict.value in {"HARMED", "IMPROVED"}]
