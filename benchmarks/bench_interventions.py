"""A playbook over a million scored learners, from the table of scores to the actions, against pandas.

    python benchmarks/bench_interventions.py [--smoke]

Of a table of Arrow, as `covey churn score --save` writes it: who is likely enough to leave for one of the reasons,
drawn into two arms by a hash, without those who had an action within the cool-down, as many as they may, or one of
another playbook today; for the rest a key by SHA-256 and a body. Both get what was done before in the form that suits
them. The rival validates nothing, and its draw is pandas' own hash of a column; ours checks every row and hashes one by
one, as clients in any language can.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

import harness
from covey.churn.definition import DAY_US
from covey.interventions import Candidates, Plan, Playbook, plan_actions
from covey.interventions.planning import HELD_OUT, Past, arm_of

CLAIMS_HERE = ("plan of a playbook over 1M scored learners over pandas",)
AS_OF_US = 1_767_571_200_000_000
BOOK = Playbook("welcome-back", 0.2, "send_message", {"template": "we-miss-you"}, reasons=("silence", "counts"))
QUIET_DAYS = 1
ROUNDS = 5


def scores(count: int) -> Any:
    """A seventh of the learners is likely enough to leave."""
    import pyarrow as pa

    random = np.random.default_rng(1)
    codes = [["silence", "counts"], ["silence"], ["gaps"], ["habits", "counts"], []]
    kinds = random.integers(0, len(codes), count)
    return pa.table(
        {
            "learner_id": [f"learner-{number:07}" for number in range(count)],
            "as_of": pa.array(np.full(count, AS_OF_US)).cast(pa.timestamp("us", "UTC")),
            "probability": random.beta(0.6, 6.0, count),
            "reasons": pa.DictionaryArray.from_arrays(pa.array(kinds), pa.array(codes)).dictionary_decode(),
            "variant": pa.array(["churn@1:55f7ed99865b"] * count),
        }
    )


def earlier(count: int) -> tuple[Any, Any]:
    """Actions of the last 60 days: of this playbook for three in ten, of another for one in ten."""
    import pandas as pd

    random = np.random.default_rng(2)
    frames = []
    for share in (0.3, 0.1):
        rows = np.sort(random.choice(count, int(share * count)))
        times = AS_OF_US - random.integers(0, 60, len(rows)) * DAY_US
        frames.append(pd.DataFrame({"learner_id": [f"learner-{row:07}" for row in rows.tolist()], "time": times}))
    return frames[0], frames[1]


def past_of(own: Any, others: Any) -> Past:
    """The same as the outbox reads it."""
    told: list[dict[str, list[int]]] = []
    for frame in (own, others):
        times: dict[str, list[int]] = {}
        for learner, time in zip(frame.learner_id.tolist(), frame.time.tolist(), strict=True):
            times.setdefault(learner, []).append(time)
        told.append(times)
    return Past({}, told[0], told[1])


def ours(table: Any, past: Past) -> Plan:
    """Checked, drawn and planned."""
    return plan_actions(BOOK, Candidates.of_table(table), past, QUIET_DAYS)


def allowed(table: Any, own: Any, others: Any) -> tuple[int, Any]:
    """In pandas: how many are chosen, and who of them may have an action now."""
    frame = table.to_pandas()
    chosen = frame[frame.probability >= BOOK.min_probability]
    wanted = set(BOOK.reasons)
    chosen = chosen[[not wanted.isdisjoint(codes) for codes in chosen.reasons]]
    by_learner = own.groupby("learner_id").time.agg(["max", "count"])
    joined = chosen.merge(by_learner, left_on="learner_id", right_index=True, how="left")
    joined = joined.merge(
        others.groupby("learner_id").time.max().rename("other"), left_on="learner_id", right_index=True, how="left"
    )
    is_cooling = joined["max"] > AS_OF_US - BOOK.cool_down_days * DAY_US
    is_limited = joined["count"] >= BOOK.limit_per_learner
    is_quiet = joined["other"] > AS_OF_US - QUIET_DAYS * DAY_US
    return len(chosen), joined[~(is_cooling | is_limited | is_quiet)]


def with_pandas(table: Any, own: Any, others: Any) -> list[dict[str, Any]]:
    """The same in pandas, but for checks and the draw that everybody can make again."""
    import pandas as pd

    _, rows = allowed(table, own, others)
    drawn = pd.util.hash_pandas_object(f"{BOOK.name}:" + rows.learner_id, index=False)
    rows = rows[drawn >= np.uint64(BOOK.holdout_share * 2**64)][["learner_id", "probability", "reasons", "variant"]]
    rows = rows.assign(
        dedupe_key=[
            hashlib.sha256(f"{BOOK.name}:{AS_OF_US}:{learner}".encode()).hexdigest()[:32] for learner in rows.learner_id
        ],
        playbook=BOOK.name,
        action=BOOK.action,
        as_of_us=AS_OF_US,
    )
    bodies: list[dict[str, Any]] = rows.to_dict("records")
    return bodies


def run(smoke: bool) -> list[harness.Row]:
    """The claim."""
    import pandas as pd

    count = 100_000 if smoke else 1_000_000
    table, (own, others) = scores(count), earlier(count)
    past = past_of(own, others)
    plan = ours(table, past)
    chosen_count, rows = allowed(table, own, others)
    treated = {learner for learner in rows.learner_id if arm_of(BOOK, learner) != HELD_OUT}
    assert plan.chosen_count == chosen_count > count // 20
    assert {action.learner_id for action in plan.actions} == treated
    contenders: dict[str, Callable[[], Any]] = {
        "ours": lambda: ours(table, past),
        "pandas": lambda: with_pandas(table, own, others),
    }
    if not smoke:
        candidates = Candidates.of_table(table)
        contenders["ours without reading and checking"] = lambda: plan_actions(BOOK, candidates, past, QUIET_DAYS)
    seconds = harness.interleave(contenders, rounds=ROUNDS)
    for name, times in seconds.items():
        harness.note(f"plan of {count:,} learners, {len(plan.actions):,} actions, {name}: {min(times) * 1e3:.0f} ms")
    return [
        harness.claim_result(
            CLAIMS_HERE[0],
            ours=seconds["ours"],
            rival=seconds["pandas"],
            rival_name=f"pandas {pd.__version__}",
            unit="s",
            n=count,
        )
    ]


if __name__ == "__main__":
    harness.main(run)
