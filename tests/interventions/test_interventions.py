"""Playbooks, planning that repeats nothing, delivery at least once by a real receiver, and effects recovered."""

from __future__ import annotations

import hmac
import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from controller.receivers import receiver
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from covey import Events
from covey.errors import InputError
from covey.experiment import DecideBy, Verdict
from covey.interventions import Candidates, Outbox, Playbook, measure_effect, plan_actions, read_playbook
from covey.interventions.effect import came_back
from covey.interventions.planning import HELD_OUT, TREATED, Enrolment, Past, arm_of

DAY_US = 86_400_000_000
START_US = 1_767_571_200_000_000
RUNS = int(os.environ.get("COVEY_INTERVENTION_RUNS", "150"))
PROJECT = Path(__file__).parents[2]
BOOK = Playbook("welcome-back", 0.2, "send_message", {"template": "we-miss-you"})


def scores(count: int, day: int = 0, seed: int = 0) -> Candidates:
    random = np.random.default_rng(seed)
    ids = [f"l{number}" for number in range(count)]
    reasons = [["silence", "counts"][: 1 + number % 2] for number in range(count)]
    return Candidates(START_US + day * DAY_US, ids, random.random(count).tolist(), reasons, ["churn@1:aa"] * count)


def test_the_example_is_a_playbook() -> None:
    assert read_playbook(PROJECT / "examples" / "welcome-back.yaml") == BOOK


_WITH = "playbook: a\nwho: {min_probability: 0.1}\nwhat: {action: x, parameters: "


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("playbook: a\nwho: {min_probability: 2}\nwhat: {action: x}", "min_probability is 2; expected a number from 0"),
        ("playbook: a\nwho: {min_probability: 0.1}\nwhat: {action: x}\nholdout: 0.5", "unknown key 'holdout'"),
        ("playbook: a\nwhat: {action: x}", "no 'min_probability'"),
        ("playbook: a b\nwho: {min_probability: 0.1}\nwhat: {action: x}", "playbook 'a b'"),
        ("playbook: a\nwho: {min_probability: 0.1, reasons: [mood]}\nwhat: {action: x}", "reason 'mood'"),
        ("playbook: a\nwho: {min_probability: 0.1}\nwhat: {action: x}\ncool_down_days: 0", "cool_down_days is 0"),
        ("playbook: a\nwho: {min_probability: 0.1, reasons: [[x]]}\nwhat: {action: x}", "reason '['x']'"),
        (f"{_WITH}{{day: 2026-01-05}}}}", "no JSON (Object of type date"),
        (f"{_WITH}{{1: a, b: c}}}}", "no JSON ("),
        (f"{_WITH}{{rate: .nan}}}}", "expected texts, finite numbers"),
        (f'{_WITH}{{text: "\\ud800"}}}}', "surrogates not allowed"),
        ("- a", "is no mapping"),
        ("a: [", "no YAML"),
        ("playbook: a\nwho: {min_probability: 0.1}\nplaybook: b", "'playbook' is written twice, again in line 3"),
        ("playbook: a\nwho:\n  min_probability: 0.1\n  min_probability: 0.9", "again in line 4"),
        ("who: &who {min_probability: *who}", "nested too deeply"),
    ],
)
def test_playbooks_that_are_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "book.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        read_playbook(path)
    assert words in str(refused.value) and "book.yaml" in str(refused.value)


def test_the_draw_is_the_planned_share_and_the_same_for_everybody() -> None:
    arms = [arm_of(BOOK, str(number)) for number in range(20_000)]
    held_out = arms.count(HELD_OUT)
    assert binom.ppf(0.0005, 20_000, 0.2) <= held_out <= binom.ppf(0.9995, 20_000, 0.2)
    assert arms[:100] == [arm_of(replace(BOOK, action="call"), str(number)) for number in range(100)]
    other = [arm_of(replace(BOOK, name="other"), str(number)) for number in range(20_000)]
    both = sum(first == second == HELD_OUT for first, second in zip(arms, other, strict=True))
    assert binom.ppf(0.0005, 20_000, 0.04) <= both <= binom.ppf(0.9995, 20_000, 0.04)


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=14),
    st.integers(1, 4),
    st.integers(1, 20),
    st.sampled_from([0.0, 0.3, 0.9]),
)
def test_no_order_of_plans_breaks_limits(days: list[int], limit: int, cool_down: int, holdout: float) -> None:
    """Whatever instants are planned, in whatever order and how often: limit, cool-down and arms hold."""
    book = replace(BOOK, limit_per_learner=limit, cool_down_days=cool_down, holdout_share=holdout)
    outbox = Outbox(Path(":memory:"))
    for day in days:
        outbox.plan(book, scores(30, day, seed=day))
        assert outbox.plan(book, scores(30, day, seed=day)).actions == ()
    rows = outbox._rows("SELECT learner_id, as_of_us FROM actions")
    arms = {own.learner_id: own.arm for own in outbox.enrolments(book)}
    for learner in {learner for learner, _ in rows}:
        times = sorted(time for name, time in rows if name == learner)
        assert len(times) <= limit and arms[learner] == TREATED
        assert all(later - earlier >= cool_down * DAY_US for earlier, later in pairwise(times))
    assert all(arm == arm_of(book, learner) for learner, arm in arms.items())
    outbox.close()


def test_a_plan_says_whom_it_left_out() -> None:
    plan = plan_actions(replace(BOOK, reasons=("counts",)), scores(200), Past())
    assert plan.chosen_count == len(plan.enrolments) == len(plan.actions) + plan.held_out_count
    assert all("counts" in own.body["reasons"] and own.body["probability"] >= 0.2 for own in plan.actions)
    treated = plan.actions[0].learner_id
    past = Past({own.learner_id: own.arm for own in plan.enrolments}, {treated: [START_US - 3 * DAY_US]})
    again = plan_actions(replace(BOOK, reasons=("counts",)), scores(200), past)
    assert again.cooling_count == 1 and not again.enrolments
    past = Past(past.arms, {treated: [START_US - 90 * DAY_US] * 3})
    assert plan_actions(replace(BOOK, reasons=("counts",)), scores(200), past).limited_count == 1


GOOD_ROW = {
    "learner_id": "a", "as_of": datetime(2026, 1, 5, tzinfo=UTC), "probability": 0.5, "reasons": ["silence"],
    "variant": "churn@1:aa",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("probability", float("nan"), "column 'probability', row 1 (counted from 0): nan; expected a number from 0 to"),
        ("probability", None, "column 'probability', row 1 (counted from 0): nothing there; expected a number from 0"),
        ("probability", 1.5, "column 'probability', row 1 (counted from 0): 1.5; expected a number from 0 to 1"),
        ("probability", -0.1, "column 'probability', row 1 (counted from 0): -0.1; expected a number from 0 to 1"),
        ("learner_id", None, "column 'learner_id', row 1 (counted from 0): nothing there; expected an id"),
        ("learner_id", "a", "column 'learner_id': a learner is scored twice"),
        ("reasons", None, "column 'reasons', row 1 (counted from 0): nothing there; expected a list of codes"),
        ("reasons", [None], "column 'reasons', row 1 (counted from 0): [None]; expected a list of codes"),
        ("variant", None, "column 'variant', row 1 (counted from 0): nothing there; expected the name of a model's"),
        ("as_of", None, "column 'as_of': an instant is missing; expected one"),
        ("as_of", datetime(2026, 1, 6, tzinfo=UTC), "column 'as_of': 2 instants in the scores; expected one"),
    ],
)
def test_scores_that_cannot_be_planned_from(name: str, value: object, words: str) -> None:
    good = {**GOOD_ROW, "learner_id": "b"}
    assert Candidates.of_table(pa.Table.from_pylist([GOOD_ROW, good])).probabilities == [0.5, 0.5]
    with pytest.raises(InputError) as refused:
        Candidates.of_table(pa.Table.from_pylist([GOOD_ROW, {**good, name: value}]), "s.parquet")
    assert str(refused.value).startswith(f"s.parquet, {words}")
    assert str(refused.value).endswith(". Take what `covey churn score --save` wrote")


def test_lists_of_reasons_are_those_of_arrow_in_whatever_chunks() -> None:
    rows = [
        {**GOOD_ROW, "learner_id": f"l{number}", "reasons": ["silence", "counts", "gaps"][: number % 4]}
        for number in range(9)
    ]
    table = pa.Table.from_pylist(rows)
    for each in (table, table.slice(3), pa.concat_tables([table.slice(5), table.slice(0, 5)]), table.slice(9)):
        if each.num_rows:
            assert Candidates.of_table(each).reasons == each["reasons"].to_pylist()
    large = table.set_column(3, "reasons", table["reasons"].cast(pa.large_list(pa.string())))
    assert large.column_names[3] == "reasons" and Candidates.of_table(large).reasons == table["reasons"].to_pylist()


def test_values_that_are_good_and_not_plain_are_taken() -> None:
    candidates = Candidates(
        START_US, ["a", "b", "c"], [1, np.float64(0.5), 0.25], [("silence",), [], ["gaps"]], ["m"] * 3
    )
    plan = plan_actions(replace(BOOK, holdout_share=0), candidates, Past())
    assert [own.body["reasons"] for own in plan.actions] == [["silence"], [], ["gaps"]]
    assert [own.probability for own in plan.enrolments] == [1.0, 0.5, 0.25]


def test_scores_of_another_type_and_made_by_hand() -> None:
    words = pa.Table.from_pylist([{**GOOD_ROW, "as_of": "some day"}])
    with pytest.raises(InputError, match=r"column 'as_of': values of type string; expected timestamps"):
        Candidates.of_table(words)
    with pytest.raises(InputError, match=r"column 'probability', row 0 .*: nan"):
        Candidates(START_US, ["a"], [float("nan")], [["silence"]], ["churn@1:aa"])


def test_a_changed_playbook_needs_another_name(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.sqlite")
    outbox.plan(BOOK, scores(20))
    with pytest.raises(InputError, match="is not what it was when it was first used"):
        outbox.plan(replace(BOOK, parameters={"template": "come-back"}), scores(20, 30))
    assert len(outbox.enrolments(BOOK)) > 5
    # What is measured may not be chosen after looking either.
    for changed in (replace(BOOK, outcome_days=7), replace(BOOK, holdout_share=0.5)):
        with pytest.raises(InputError, match="is not what it was when it was first used"):
            outbox.enrolments(changed)
    assert outbox.enrolments(replace(BOOK, name="other")) == []
    outbox.close()
    (tmp_path / "text").write_text("no database, " * 200)
    with pytest.raises(InputError, match="no outbox"):
        Outbox(tmp_path / "text")


def test_two_processes_plan_each_action_once(tmp_path: Path) -> None:
    first, second = Outbox(tmp_path / "o.sqlite"), Outbox(tmp_path / "o.sqlite")
    planned = len(first.plan(BOOK, scores(100)).actions)
    assert second.plan(BOOK, scores(100)).actions == ()
    assert second.count("waiting") == planned
    dry = second.plan(BOOK, scores(100, 30), dry_run=True)
    assert dry.actions and first.count("waiting") == planned
    first.close()
    second.close()


def test_actions_are_told_at_least_once_signed_and_under_one_key(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.sqlite")
    planned = outbox.plan(BOOK, scores(12)).actions
    # Taken without an answer, then out of order for a moment: the pass ends, and the next one tells them again.
    with receiver(["drop", 503]) as sink:
        first = outbox.deliver(sink.url, lambda: 1_000.0, b"secret")
        assert (first.told, first.waiting) == (0, len(planned)) and first.problem
        second = outbox.deliver(sink.url, lambda: 1_000.0, b"secret")
        assert second.told == 0 and "503" in second.problem
        last = outbox.deliver(sink.url, lambda: 1_000.0, b"secret")
        assert (last.told, last.waiting, last.problem) == (len(planned), 0, "")
        assert outbox.deliver(sink.url, lambda: 1_000.0).told == 0
        assert sorted(set(sink.keys)) == sorted(own.key for own in planned)
        assert len(sink.keys) == len(planned) + 1
        for headers, body in sink.posts:
            digest = hmac.new(b"secret", b"1000." + body, sha256).hexdigest()
            assert headers["Covey-Signature"] == f"t=1000,v1={digest}"
            assert headers["Covey-Dedupe-Key"] == json.loads(body)["dedupe_key"]
        assert json.loads(sink.posts[0][1])["parameters"] == {"template": "we-miss-you"}
    outbox.close()


def test_an_action_that_is_refused_for_good_lets_the_others_pass(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.sqlite")
    planned = len(outbox.plan(BOOK, scores(8)).actions)
    with receiver([400]) as sink:
        assert outbox.deliver(sink.url, lambda: 0.0).told == planned - 1
    for attempt in range(4):
        with receiver([400]) as sink:
            assert outbox.deliver(sink.url, lambda: 0.0).given_up == (attempt == 3)
    assert (outbox.count("given_up"), outbox.count("waiting")) == (1, 0)
    outbox.close()


def test_actions_that_are_too_old_are_told_no_more(tmp_path: Path) -> None:
    """Up to the last of their days they are; one that expired counts to no limit, and is not planned again."""
    outbox = Outbox(tmp_path / "o.sqlite")
    book = replace(BOOK, valid_days=7, limit_per_learner=1)
    early = outbox.plan(book, scores(40)).actions
    assert {own.body["valid_until_us"] for own in early} == {START_US + 7 * DAY_US}
    late_scores = replace(scores(40, 20), probabilities=scores(40).probabilities)
    with receiver([503]) as sink:
        assert outbox.deliver(sink.url, lambda: START_US / 1e6 + 7 * 86_400).expired == 0
    with receiver([]) as sink:
        found = outbox.deliver(sink.url, lambda: START_US / 1e6 + 7 * 86_400 + 1)
        assert (found.told, found.expired, found.waiting, sink.keys) == (0, len(early), 0, [])
        assert outbox.count("expired") == len(early)
        assert outbox.plan(book, scores(40)).cooling_count == len(early)
        late = outbox.plan(book, late_scores)
        assert [own.learner_id for own in late.actions] == [own.learner_id for own in early]
        assert late.limited_count == 0
        assert outbox.deliver(sink.url, lambda: START_US / 1e6 + 21 * 86_400).told == len(early)
    assert outbox.plan(book, replace(late_scores, as_of_us=START_US + 60 * DAY_US)).limited_count == len(early)
    outbox.close()


def test_two_playbooks_leave_a_learner_a_day(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.sqlite")
    first = {own.learner_id for own in outbox.plan(BOOK, scores(200)).actions}
    other = replace(BOOK, name="call", action="call")
    plan = outbox.plan(other, scores(200))
    told = {own.learner_id for own in plan.actions}
    # Nobody hears of both on one day; who waits is enrolled and in the arm that was drawn all the same.
    assert told and not told & first
    assert plan.quiet_count > 20 and plan.chosen_count == plan.held_out_count + plan.quiet_count + len(told)
    assert len(plan.enrolments) == plan.chosen_count
    next_day = replace(scores(200), as_of_us=START_US + DAY_US)
    later = outbox.plan(other, next_day)
    assert later.quiet_count == 0 and len(later.actions) == plan.quiet_count
    # The twin: without a limit across playbooks both write at once.
    both = outbox.plan(replace(other, name="third"), next_day, quiet_days=0)
    assert {own.learner_id for own in both.actions} & {own.learner_id for own in later.actions}
    outbox.close()


def test_outboxes_from_before_actions_could_expire_know_their_playbooks() -> None:
    assert BOOK.digest == "bf1be1bda7e871d88afb550658fe0f7a9c20a5b241b86462229844d8a54550f3"
    assert replace(BOOK, valid_days=7).digest != BOOK.digest
    with pytest.raises(InputError, match="valid_days is 0"):
        replace(BOOK, valid_days=0)


def test_who_came_back_by_hand() -> None:
    day = START_US + np.array([0, 10, 41, 5, 80]) * DAY_US
    events = Events.from_numpy(["a", "a", "b", "c", "d"], day, time_unit="us")
    chosen = [Enrolment(name, TREATED, START_US + at * DAY_US, 0.5) for name, at in
              (("a", 9), ("b", 9), ("b", 20), ("c", 6), ("d", 79), ("nobody", 9))]  # fmt: skip
    assert came_back(chosen, events, 28) == [True, False, True, False, None, False]


def test_effects_are_recovered_with_coverage() -> None:
    """Simulated playbooks whose effect is known: 95 % intervals hold it as often as they say, in a 99.9 % band.

    Those of the fixed reading just as often; those of the always-valid one, which `effect` shows, at least as often: at
    a single look they are wider than they need be.
    """
    random = np.random.default_rng(11)
    count, effect, covered, always_covered = 500, 0.12, 0, 0
    for run in range(RUNS):
        book = replace(BOOK, name=f"run-{run}", holdout_share=0.4)
        given_scores = replace(scores(count, seed=run), as_of_us=START_US)
        plan = plan_actions(book, given_scores, Past())
        leaving = np.array([own.probability for own in plan.enrolments])
        treated = np.array([own.arm == TREATED for own in plan.enrolments])
        outcomes = random.random(len(leaving)) < 0.85 - 0.7 * leaving + effect * treated
        found = measure_effect(book, plan.enrolments, outcomes.tolist(), decide_by=DecideBy.fixed).result
        comparison = found.comparisons[0]
        reading, always = comparison.reading(DecideBy.fixed), comparison.reading(DecideBy.always_valid)
        covered += reading.low <= effect <= reading.high
        always_covered += always.low <= effect <= always.high
    print(f"effects: {RUNS - covered} of {RUNS} miss by the fixed reading, {RUNS - always_covered} by the always valid")
    assert binom.ppf(0.0005, RUNS, 0.95) <= covered <= binom.ppf(0.9995, RUNS, 0.95)
    assert binom.ppf(0.0005, RUNS, 0.95) <= always_covered


def test_an_effect_is_seen_and_a_null_one_is_not_claimed() -> None:
    random = np.random.default_rng(5)
    book = replace(BOOK, holdout_share=0.5)
    plan = plan_actions(book, scores(6_000), Past())
    treated = np.array([own.arm == TREATED for own in plan.enrolments])
    helped = measure_effect(book, plan.enrolments, (random.random(len(treated)) < 0.4 + 0.1 * treated).tolist())
    assert helped.result.comparisons[0].verdict is Verdict.improved and helped.open_count == 0
    same = measure_effect(book, plan.enrolments, (random.random(len(treated)) < 0.4).tolist())
    assert same.result.comparisons[0].verdict is Verdict.undecided


def test_what_cannot_be_said() -> None:
    plan = plan_actions(BOOK, scores(50), Past())
    with pytest.raises(InputError, match="has had 28 days yet"):
        measure_effect(BOOK, plan.enrolments, [None] * len(plan.enrolments))
    with pytest.raises(InputError, match="holds nobody out"):
        measure_effect(replace(BOOK, holdout_share=0), plan.enrolments, [True] * len(plan.enrolments))
