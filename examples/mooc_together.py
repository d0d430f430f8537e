"""Would the people of a real course have talked to whom traits suggest?

    python examples/mooc_together.py ../shared/data REPORT_FOLDER

The forum of a course for teachers (Kellogg and Edelmann 2015, CC0): who answered whom, 445 people, 2,529 posts.
Traits are made of the posts before a day; suggested are the ten nearest; judged is who exchanged posts from that day
on, of those who had not before. Then study groups of all, with the friendships of the whole course as a wish, and a
report with its picture.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from covey import Events
from covey.together import Space, Wanted, find_similar, form_groups
from covey.together.evaluation import evaluate
from covey.together.files import edges_of
from covey.together.pictures import groups_picture
from covey.together.report import write_report
from covey.together.words import basis

MAPPING = {
    "learner": "sender",
    "time": "timestamp",
    "domain": "discussion_category",
    "capability": "discussion_title",
}
DAYS = (datetime(2013, 4, 20), datetime(2013, 4, 27), datetime(2013, 5, 4))


def main(data: Path, folder: Path) -> None:
    """Judge the suggestions of three days, form groups, write the report."""
    posts = pq.read_table(data / "mooc_dlt1_edgelist.parquet")
    people = pq.read_table(data / "mooc_dlt1_nodes.parquet")
    print("| day | people | pairs | talked | everybody | as active | as active, same forum group |")
    for day in DAYS:
        judge(posts, people, day)
    traits = Events.from_arrow(posts, MAPPING).traits()
    space = Space.of(traits.discover(4)).with_attributes(people, "uid", ["group"], "nodes")
    friends = edges_of(space, posts, ("sender", "receiver"))
    for wanted in (Wanted(), Wanted(friend_weight=0.0), Wanted(same=("group",), is_partial=True)):
        found = form_groups(space, wanted, friends)
        quality = found.quality
        print(basis(found))
        for name in ("spread", "friendships"):
            own = getattr(quality, name)
            bound = "" if own.bound is None else f", bound {own.bound:.4f}"
            print(f"  {name} {own.value:.4f}, by chance {own.chance_low:.4f} to {own.chance_high:.4f}{bound}")
    found = form_groups(space, Wanted(), friends)
    write_report(found, folder)
    groups_picture(found, "Study groups of a forum's people").savefig(folder / "groups.png", dpi=110)


def judge(posts: pa.Table, people: pa.Table, day: datetime) -> None:
    """One row: pairs who had not talked before, and of them who did from the day on."""
    is_before = pc.less(posts["timestamp"], pa.scalar(day, pa.timestamp("ms")))
    before, after = posts.filter(is_before), posts.filter(pc.invert(is_before))
    traits = Events.from_arrow(before, MAPPING).traits(as_of=day.replace(tzinfo=UTC))
    space = Space.of(traits).with_attributes(people, "uid", ["group"], "nodes")
    counts = traits["event_count"]
    active = np.digitize(counts, np.quantile(counts, (0.2, 0.4, 0.6, 0.8)))
    group = space.attribute("group").codes.astype(np.int64)
    ends = ("sender", "receiver")
    found = evaluate(
        find_similar(space, count=10),
        edges_of(space, after, ends),
        {"as active": active, "as active, same group": active * 100 + group},
        edges_of(space, before, ends),
    )
    told = [f"{100 * own.share:.2f} ({100 * own.low:.2f} to {100 * own.high:.2f}), p = {own.p_value:.4f}"
            for own in found.chances]  # fmt: skip
    print(
        f"| {day:%d %B} | {len(space)} | {found.pair_count:,} | {found.talked_count}, {100 * found.share:.2f} % | "
        f"{' | '.join(told)} |"
    )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
