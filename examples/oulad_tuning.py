"""What tuning brings on a real course, by three objectives, on learners held out.

    python examples/oulad_tuning.py ../shared/data REPORT_FOLDER

The Open University's courses BBB and AAA, presentation 2013J (Kuzilek, Hlosta, Zdrahal 2017, CC BY 4.0). Traits of day
60; the outcome is who passed, of those still registered then. Writes a report of BBB's outcome with its pictures, by
highest education.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from covey import Events
from covey.together import Space
from covey.tune import Configuration, Goal, Knobs, Problem, Tuned, tune, tune_segments
from covey.tune.pictures import gain_picture, search_picture
from covey.tune.report import write_report

AS_OF_DAY = 60
TRIALS = 36
KNOBS = Knobs(Configuration.default(4))


def main(data: Path, folder: Path) -> None:
    """Tune for each course and objective, one row each, and write the report."""
    print("| course | objective | learners | default | tuned | gain, 95 % | cohorts by fold |")
    for course in ("BBB", "AAA"):
        for goal in Goal:
            found = tune(problem_of(data, course, goal), KNOBS, trials=TRIALS)
            gain = found.gain
            told = f"{gain.default.mean():.3f} | {gain.tuned.mean():.3f} | {gain.mean:+.3f}"
            print(
                f"| {course} | {goal} ({found.problem.unit}) | {len(found.problem.known):,} | "
                f"{told} ({gain.low:+.3f} to {gain.high:+.3f}) | "
                f"{', '.join(str(own.k) for own in found.chosen)} |"
            )
            if (course, goal) == ("BBB", Goal.outcome):
                report(data, course, found, folder)


def report(data: Path, course: str, found: Tuned, folder: Path) -> None:
    """Try constants of their own for segments, and draw it all."""
    space = Space.of(found.problem.events.traits(found.problem.as_of_us))
    about = own_rows(data, "student_info", course)
    education = space.with_attributes(about, "id_student", ["highest_education"]).attribute("highest_education")
    segments = tune_segments(found, KNOBS, education)
    write_report(found, segments, folder, f"{course} 2013J")
    title = f"{course} 2013J: tuned for who passes, on learners held out"
    gain_picture(found, segments, title).savefig(folder / "gain.png", dpi=110)
    title = f"{course} 2013J: who passes, told by each of {len(found.tried)} configurations"
    search_picture(found, title).savefig(folder / "search.png", dpi=90)


def problem_of(data: Path, course: str, goal: Goal) -> Problem:
    """The events of a course, and who of its learners passed."""
    clicks = pq.read_table(data / "oulad_student_vle.parquet")
    mapping = {
        "learner": "id_student",
        "time": "date",
        "time_unit": "day",
        "capability": "id_site",
        "domain_from": f"{data / 'oulad_vle.parquet'}:id_site:activity_type",
        "weight": "sum_click",
    }
    events = Events.from_arrow(clicks.filter(pc.equal(clicks["code_module"], course)), mapping)
    outcomes = passed(data, course) if goal is Goal.outcome else None
    return Problem.of(events, goal, AS_OF_DAY * 86_400_000_000, outcomes, threads=1)


def passed(data: Path, course: str) -> pa.Table:
    """Who passed, of those who were registered at the day of the traits."""
    info, registration = (own_rows(data, name, course) for name in ("student_info", "student_registration"))
    gone = registration.filter(pc.less_equal(registration["date_unregistration"], AS_OF_DAY))["id_student"]
    info = info.filter(pc.invert(pc.is_in(info["id_student"], gone.combine_chunks())))
    is_passed = pc.is_in(
        info["final_result"].cast(pa.large_string()), pa.array(["Pass", "Distinction"], pa.large_string())
    )
    return pa.table({"id_student": info["id_student"], "passed": is_passed})


def own_rows(data: Path, name: str, course: str) -> Any:
    """The rows of a table that are about a course."""
    table = pq.read_table(data / f"oulad_{name}.parquet")
    return table.filter(pc.and_(pc.equal(table["code_module"], course), pc.equal(table["code_presentation"], "2013J")))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
