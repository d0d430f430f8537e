"""The cohorts of the real learners, to the last bit: a change here is a change of what every user gets.

`real_learners.json` is the answer of `covey analyze ... --output json` (the command of the README). Rewrite it only
with a change that means to move it, and say so in the changelog.
"""

from __future__ import annotations

import json
from pathlib import Path

from covey.cli.analyze_report import report_data
from covey.events import read_parquet


def test_the_answer_has_not_moved(shared_data, oulad_mapping):
    golden = json.loads((Path(__file__).parent / "real_learners.json").read_text())
    events = read_parquet(shared_data("oulad_student_vle.parquet"), oulad_mapping)
    found = report_data(events.traits().discover(), len(events), None)
    assert found == golden
