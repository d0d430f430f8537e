"""A playbook on a real course where nobody was written to: is a difference claimed, and is one that is known found?

    python examples/oulad_interventions.py ../shared/data REPORT_FOLDER

The Open University's course BBB, presentation 2013J (Kuzilek, Hlosta, Zdrahal 2017, CC BY 4.0), scored every two weeks
by a model of AAA 2013J. Who is held out is drawn over what had happened already, so the true effect of the draw is
zero, exactly. Then the later events of three in ten of those held out are taken away: an effect that is known. Writes
the report of both, and says how often the intervals of many draws hold the truth.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from covey import Events
from covey.churn import Kind, panel, score, train
from covey.churn.definition import DAY_US
from covey.experiment import DecideBy
from covey.identifiers import bucket
from covey.interventions import Candidates, Outbox, Playbook, measure_effect, pictures
from covey.interventions.effect import came_back
from covey.interventions.planning import HELD_OUT, TREATED, Enrolment, arm_of
from covey.interventions.report import Measured, headline, measure, write_report

DAYS = (35, 49, 63, 77, 91, 105)
BOOK = Playbook("as-it-was", 0.05, "send_message", holdout_share=0.3, cool_down_days=21, limit_per_learner=2)
LOST_SHARE = 0.3
DRAWS = 1_000


@dataclass
class World:
    """A course and who of it was chosen.

    Attributes:
        clicks: its rows.
        mapping: what they mean.
        events: the same as events.
        enrolments: by `BOOK`.
        action_counts: by state.
    """

    clicks: pa.Table
    mapping: dict[str, str]
    events: Events
    enrolments: list[Enrolment]
    action_counts: dict[str, int]


def main(data: Path, folder: Path) -> None:
    """Plan, measure what was and what was taken away, draw both, draw anew a thousand times."""
    world = planned(data)
    found = [as_it_was(world), with_lost(world)]
    for own in found:
        print(f"{own.playbook.name}: {headline(own)}")
    write_report(found, folder)
    title = "BBB 2013J, where nobody was written to: as it was, and where some of those held out fall silent"
    pictures.effects(found, title).savefig(folder / "effects.png", dpi=110)
    title = "BBB 2013J: three in ten of those held out fall silent"
    pictures.day_curves(found[1].arms, title).savefig(folder / "days.png", dpi=110)
    truth = true_effect(world)
    misses = missed(world.enrolments, came_back(world.enrolments, world.events, BOOK.outcome_days), truth, DRAWS)
    print(f"true effects 0 and {100 * truth:.1f} points; of {DRAWS:,} draws miss: {misses}")


def planned(data: Path) -> World:
    """Learn from AAA, score BBB on `DAYS`, choose by the playbook."""
    table = pq.read_table(data / "oulad_student_vle.parquet")
    mapping = {
        "learner": "id_student",
        "time": "date",
        "time_unit": "day",
        "capability": "id_site",
        "domain_from": f"{data / 'oulad_vle.parquet'}:id_site:activity_type",
        "weight": "sum_click",
    }
    clicks = {name: table.filter(pc.equal(table["code_module"], name)) for name in ("AAA", "BBB")}
    model = train(panel(Events.from_arrow(clicks["AAA"], mapping)), Kind.logistic).model
    events = Events.from_arrow(clicks["BBB"], mapping)
    box = Outbox(Path(":memory:"))
    for day in DAYS:
        plan = box.plan(BOOK, Candidates.of_table(score(model, events, day * DAY_US).to_arrow()))
        print(
            f"day {day}: {plan.chosen_count:,} at risk, {len(plan.enrolments):,} for the first time, "
            f"{plan.held_out_count:,} held out, {len(plan.actions):,} actions"
        )
    return World(clicks["BBB"], mapping, events, box.enrolments(BOOK), box.counts(BOOK.name))


def as_it_was(world: World) -> Measured:
    """What the events say."""
    return measure(BOOK, world.enrolments, world.action_counts, world.events)


def with_lost(world: World) -> Measured:
    """What they say where some of those held out have no later ones."""
    rows = [own for own in world.enrolments if own.arm == HELD_OUT and is_lost(own)]
    since = {int(own.learner_id): own.as_of_us // DAY_US for own in rows}
    learner, day = world.clicks["id_student"].to_pylist(), world.clicks["date"].to_pylist()
    left = pa.array([at < since.get(who, 10_000) for who, at in zip(learner, day, strict=True)])
    thinned = Events.from_arrow(world.clicks.filter(left), world.mapping)
    return measure(replace(BOOK, name="three-in-ten-lost"), world.enrolments, world.action_counts, thinned)


def is_lost(own: Enrolment) -> bool:
    """Whose later events are taken away where they are held out: the same learners in every draw."""
    return bucket("lost", own.learner_id) < LOST_SHARE * 2**32


def true_effect(world: World) -> float:
    """Of what is taken away, over all who were chosen: nothing of the draw is in it."""
    outcomes = came_back(world.enrolments, world.events, BOOK.outcome_days)
    return float(np.mean([bool(back) and is_lost(own) for own, back in zip(world.enrolments, outcomes, strict=True)]))


def missed(rows: Sequence[Enrolment], outcomes: Sequence[bool | None], truth: float, draws: int) -> dict[str, int]:
    """How many intervals of how many draws do not hold what is true: of one look, and of any number of them."""
    misses = dict.fromkeys(("nothing", "nothing, any looks", "lost", "lost, any looks"), 0)
    for number in range(draws):
        book = replace(BOOK, name=f"draw-{number}")
        drawn = [replace(own, arm=arm_of(book, own.learner_id)) for own in rows]
        lost = [back and (own.arm == TREATED or not is_lost(own)) for own, back in zip(drawn, outcomes, strict=True)]
        for name, seen, effect in (("nothing", outcomes, 0.0), ("lost", lost, truth)):
            one = measure_effect(book, drawn, seen).result.comparisons[0]
            for kind, mark in ((DecideBy.fixed, ""), (DecideBy.always_valid, ", any looks")):
                low, high = one.reading(kind).low, one.reading(kind).high
                assert low is not None and high is not None
                misses[name + mark] += not low <= effect <= high
    return misses


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
