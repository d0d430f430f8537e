"""How the learners of a real course move between cohorts, from its first week to its last.

    python examples/oulad_evolution.py ../shared/data REPORT_FOLDER

The Open University's course AAA, presentation 2013J, 378 learners (Kuzilek, Hlosta, Zdrahal 2017, CC BY 4.0). Writes a
report with its pictures: flows between cohorts every four weeks, the matrix of weekly moves, a forecast of next week's
cohort, and how often it pays to assign learners anew.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from covey import Events
from covey.evolve import dwell_times, instants_between, pictures, snapshots, stability, transitions
from covey.evolve.answer import Answer
from covey.evolve.forecast import forecast
from covey.evolve.report import write_report
from covey.evolve.schedule import choose_schedule
from covey.evolve.words import forecast_text, schedule_text

K = 4


def main(data: Path, folder: Path) -> None:
    """Read the course, look at it weekly, write the report."""
    table = pq.read_table(data / "oulad_student_vle.parquet")
    mapping = {
        "learner": "id_student",
        "time": "date",
        "time_unit": "day",
        "capability": "id_site",
        "domain_from": f"{data / 'oulad_vle.parquet'}:id_site:activity_type",
        "weight": "sum_click",
    }
    events = Events.from_arrow(table.filter(pc.equal(table["code_module"], "AAA")), mapping)
    weekly = snapshots(events, instants_between(0, events.newest_us, 7), k=K)
    answer = Answer(
        weekly,
        transitions(weekly),
        dwell_times(weekly),
        stability(weekly),
        forecast(weekly),
        choose_schedule(weekly, (1, 4, 13)),
    )
    write_report(answer, folder)
    monthly = snapshots(events, instants_between(0, events.newest_us, 28), fixed_model=weekly.fixed_model)
    pictures.flows(monthly, "Where the learners of a course go").savefig(folder / "flows-monthly.png", dpi=110)
    pictures.matrix(answer.moves, "Moves in a week").savefig(folder / "moves.png", dpi=110)
    assert answer.forecast is not None and answer.schedule is not None
    print(forecast_text(answer.forecast))  # noqa: T201
    print(schedule_text(answer.schedule, answer.moves.step_days))  # noqa: T201


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
