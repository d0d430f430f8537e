"""The promise on real learners: trained on one course of the Open University, judged on another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from covey import Events
from covey.churn import Kind, Panel, panel, train
from covey.churn.features import GROUPS


@pytest.fixture(scope="module")
def panels(shared_data: Callable[[str], Path], oulad_mapping: dict[str, str]) -> tuple[Panel, Panel]:
    table = pq.read_table(shared_data("oulad_student_vle.parquet"))
    first, second = (
        panel(Events.from_arrow(table.filter(pc.equal(table["code_module"], course)), oulad_mapping))
        for course in ("BBB", "AAA")
    )
    return first, second


@pytest.mark.data
def test_a_model_of_one_course_tells_who_leaves_another(panels: tuple[Panel, Panel]) -> None:
    first, second = panels
    assert (len(first), len(second)) == (24_967, 12_197)
    ((_, found),) = train(first, courses={"AAA": second}).by_courses
    assert found.auc >= 0.87
    assert found.calibration_error < 0.03
    assert found.top_decile_lift > 5
    assert found.lead_time.left_count == 101 and found.lead_time.early_share > 0.2
    # What everybody would try first: a line through ten counts in windows.
    ((_, counts),) = train(first, Kind.logistic, features=GROUPS["counts"], courses={"AAA": second}).by_courses
    assert 0.83 < counts.auc < found.auc - 0.02
