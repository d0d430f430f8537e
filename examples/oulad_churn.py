"""Who is about to leave a real course, told by a model of another one.

    python examples/oulad_churn.py ../shared/data REPORT_FOLDER

Trained on the Open University's course BBB, presentation 2013J (to day 133), judged on AAA 2013J (Kuzilek, Hlosta,
Zdrahal 2017, CC BY 4.0). Churn is no event in the next 28 days, among learners active in the last 28, weekly. Writes
the model, a report with its picture, and what each group of features buys.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from covey import Events
from covey.churn import Kind, Panel, panel, save_model, score, train
from covey.churn.definition import DAY_US
from covey.churn.features import GROUPS
from covey.churn.metrics import Quality
from covey.churn.pictures import picture
from covey.churn.report import judge, write_report
from covey.churn.training import ablation
from covey.churn.words import lead_text, row_of


def main(data: Path, folder: Path) -> None:
    """Read two courses, learn from one, judge on the other, write the report."""
    table = pq.read_table(data / "oulad_student_vle.parquet")
    mapping = {
        "learner": "id_student",
        "time": "date",
        "time_unit": "day",
        "capability": "id_site",
        "domain_from": f"{data / 'oulad_vle.parquet'}:id_site:activity_type",
        "weight": "sum_click",
    }
    events = {
        course: Events.from_arrow(table.filter(pc.equal(table["code_module"], course)), mapping)
        for course in ("AAA", "BBB")
    }
    other, own = panel(events["AAA"]), panel(events["BBB"])
    _say("ten counts, a line", _judged(own, other, Kind.logistic, GROUPS["counts"]))
    _say("everything, a line", _judged(own, other, Kind.logistic, None))
    found = train(own, name="oulad", courses={"AAA 2013J": other})
    for name, quality in (("learners", found.by_learners), ("weeks", found.by_time), *found.by_courses):
        if quality is not None:
            _say(name, quality)
    print(lead_text(found.by_courses[0][1].lead_time, found.model.threshold))  # noqa: T201
    folder.mkdir(parents=True, exist_ok=True)
    save_model(found.model, folder / "oulad.json")
    figure = picture(
        found.by_courses[0][1], other.churned, found.model.probabilities(other.features), "AAA 2013J, told by BBB 2013J"
    )
    figure.savefig(folder / "quality.png", dpi=110)
    added = ablation(own, other)
    write_report(found.model, other, folder, "AAA 2013J", added)
    for group, quality in added:
        _say(f"+ {group}", quality)
    for days in range(7):  # the same weeks, begun on another day: how much of a figure is the day
        shifted = panel(events["AAA"], observed_until=events["AAA"].newest_us - days * DAY_US)
        _say(f"{days} days before", judge(found.model, shifted))
    scores = score(found.model, events["AAA"], other.instants[10])
    likeliest = scores.probability.argsort()[::-1][:3]
    for row, reasons in zip(likeliest, scores.reasons(likeliest), strict=True):
        print(f"{scores.probability[row]:.2f}", "; ".join(reason.text for reason in reasons))  # noqa: T201


def _judged(own: Panel, other: Panel, kind: Kind, features: tuple[str, ...] | None) -> Quality:
    chosen = {} if features is None else {"features": features}
    return train(own, kind, courses={"AAA 2013J": other}, **chosen).by_courses[0][1]  # type: ignore[arg-type]


def _say(name: str, quality: Quality) -> None:
    print(" | ".join(row_of(name, quality)), flush=True)  # noqa: T201


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
