"""Interventions on real learners, over the wire. Nobody wrote to them: the true effect of any draw is zero, exactly.

Who is held out is drawn over outcomes that had happened already, so the intervals of many draws must hold zero as often
as they say; and where events of some learners held out are taken away, they must hold what was taken.
"""

from __future__ import annotations

import os
import runpy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from scipy.stats import binom
from server.running import ServedHere
from server.stored import store_events

from covey import Events
from covey.churn import Kind, panel, save_model, score, train
from covey.client import Client
from covey.experiment import DecideBy, Verdict, experiment_data
from covey.identifiers import bucket
from covey.interventions import Candidates, Outbox, Playbook, measure_effect
from covey.interventions.effect import came_back
from covey.interventions.planning import HELD_OUT, Enrolment
from covey.v1 import churn_pb2, interventions_pb2
from covey_server.experiments.asked import message_of

PROJECT = Path(__file__).parents[2]
pytestmark = pytest.mark.data

DAY_US = 86_400_000_000
START_US = int(datetime(2013, 10, 1, tzinfo=UTC).timestamp()) * 1_000_000
DAYS = (35, 49, 63, 77, 91, 105)
BOOK = Playbook("write", 0.05, "send_message", holdout_share=0.3, cool_down_days=21, limit_per_learner=2)
DRAWS = int(os.environ.get("COVEY_INTERVENTION_RUNS", "40"))
"""Of who is held out; the band of 99.9 % fits their number."""
LOST_SHARE = 0.3
State = interventions_pb2.InterventionAction


@dataclass
class Course:
    """BBB 2013J on a server, with a model that AAA 2013J taught, and the same in memory.

    Attributes:
        server, client: real ones.
        columns: learner, time and topic of BBB's events, and the names of the topics.
        events: BBB.
        candidates: scores at each of `DAYS`.
    """

    server: ServedHere
    client: Client
    columns: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], list[str]]
    events: Events
    candidates: list[Candidates]


def columns_of(clicks: Any, sites: Any) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], list[str]]:
    topics = dict(zip(sites["id_site"].to_pylist(), sites["activity_type"].to_pylist(), strict=True))
    names = sorted(set(topics.values()))
    code = {site: names.index(topic) for site, topic in topics.items()}
    learner, day = (clicks[name].to_numpy().astype(np.int64) for name in ("id_student", "date"))
    return learner, START_US + day * DAY_US, np.array([code[site] for site in clicks["id_site"].to_pylist()]), names


@pytest.fixture(scope="module")
def course(shared_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Course]:
    clicks = pq.read_table(shared_data("oulad_student_vle.parquet"))
    sites = pq.read_table(shared_data("oulad_vle.parquet"))
    directory = tmp_path_factory.mktemp("oulad") / "data"
    server = ServedHere(data_directory=directory)
    client = Client(data=f"127.0.0.1:{server.data_port}", timeout_seconds=240)
    by_name = {name: columns_of(clicks.filter(pc.equal(clicks["code_module"], name)), sites) for name in ("AAA", "BBB")}
    learner, time_us, topic, names = by_name["AAA"]
    texts = [names[code] for code in topic.tolist()]
    model = train(panel(Events.from_numpy(learner, time_us, texts, texts, time_unit="us")), Kind.logistic).model
    (directory / "churn-models").mkdir()
    save_model(model, directory / "churn-models" / "churn@1.json")
    learner, time_us, topic, names = by_name["BBB"]
    events = store_events(server, "bbb", learner, time_us, names, topic)
    scores = [Candidates.of_table(score(model, events, START_US + day * DAY_US).to_arrow()) for day in DAYS]
    yield Course(server, client, by_name["BBB"], events, scores)
    client.close()
    server.stop()


def message(book: Playbook) -> interventions_pb2.Playbook:
    return interventions_pb2.Playbook(
        name=book.name, min_probability=book.min_probability, action=book.action, holdout_share=book.holdout_share,
        cool_down_days=book.cool_down_days, limit_per_learner=book.limit_per_learner,
    )  # fmt: skip


def enrolled(course: Course, book: Playbook) -> list[Enrolment]:
    """Who is chosen on any of the days, by the library's outbox."""
    box = Outbox(Path(":memory:"))
    for candidates in course.candidates:
        box.plan(book, candidates)
    found = box.enrolments(book)
    box.close()
    return found


def is_lost(learner_id: str) -> bool:
    """Whose later events are taken away where they are held out: the same learners in every draw."""
    return bucket("lost", learner_id) < LOST_SHARE * 2**32


def without_lost(course: Course, rows: list[Enrolment]) -> NDArray[np.bool_]:
    """Events that are left, shape (events,)."""
    since = {int(own.learner_id): own.as_of_us for own in rows if own.arm == HELD_OUT and is_lost(own.learner_id)}
    learner, time_us, *_ = course.columns
    return time_us < np.array([since.get(own, 2**62) for own in learner.tolist()])


def test_plans_actions_and_effect_over_the_wire_are_the_librarys(course: Course) -> None:
    client, box = course.client, Outbox(Path(":memory:"))
    for number, (day, candidates) in enumerate(zip(DAYS, course.candidates, strict=True)):
        asked = churn_pb2.ScoreChurnRequest(dataset="datasets/bbb", model="churnModels/churn@1")
        asked.as_of.FromMicroseconds(START_US + day * DAY_US)
        request = interventions_pb2.PlanInterventionsRequest(playbook=message(BOOK), churn=asked, request_id=f"{day}")
        answer, found = client.plan_interventions(request), box.plan(BOOK, candidates)
        assert client.plan_interventions(request) == answer  # as after an answer that was lost
        assert (answer.chosen_count, answer.new_count) == (found.chosen_count, len(found.enrolments))
        assert (answer.held_out_count, answer.cooling_count) == (found.held_out_count, found.cooling_count)
        assert (answer.limited_count, answer.action_count) == (found.limited_count, len(found.actions))
        # Whoever does them does so between the plans; the last one is given up.
        waiting = [own.key for own in client.list_intervention_actions(playbook=BOOK.name)]
        assert sorted(waiting) == sorted(own.key for own in found.actions) and len(waiting) > 20
        moved = client.advance_intervention_actions(waiting[:-1], waiting[-1:])
        assert (moved.done_count, moved.given_up_count) == (len(waiting) - 1, 1)
        assert len(list(client.list_intervention_actions(State.STATE_GIVEN_UP, BOOK.name))) == number + 1
    rows = box.enrolments(BOOK)
    assert course.server.room.interventions.enrolments(BOOK) == rows and len(rows) > 500
    held_out = sum(own.arm == HELD_OUT for own in rows)
    assert binom.ppf(0.0005, len(rows), 0.3) <= held_out <= binom.ppf(0.9995, len(rows), 0.3)

    def effect(dataset: str, events: Events) -> Any:
        """What the server says of it, which must be what the library says; the library's."""
        asked = interventions_pb2.ReportInterventionEffectRequest(dataset=f"datasets/{dataset}", playbook=message(BOOK))
        told = client.report_intervention_effect(asked)
        found = measure_effect(BOOK, rows, came_back(rows, events, BOOK.outcome_days))
        analysis = interventions_pb2.ReportInterventionEffectResponse().analysis
        assert told.analysis == message_of(experiment_data(found.result), analysis)
        assert told.open_count == found.open_count == 0
        return found.result.comparisons[0]

    null = effect("bbb", course.events)
    always = null.reading(DecideBy.always_valid)
    assert null.verdict is Verdict.undecided and always.low < 0 < always.high and always.is_valid
    assert null.needed_units > len(rows)
    # The same learners, but that some of those held out did not come back.
    learner, time_us, topic, names = course.columns
    left = without_lost(course, rows)
    thinned = store_events(course.server, "thinned", learner[left], time_us[left], names, topic[left])
    helped = effect("thinned", thinned)
    assert helped.verdict is Verdict.improved
    always = helped.reading(DecideBy.always_valid)
    assert always.low <= true_effect(course, rows) <= always.high
    box.close()


def true_effect(course: Course, rows: list[Enrolment]) -> float:
    """Of the lost events on who comes back, over all who were chosen: nothing of the draw is in it."""
    outcomes = came_back(rows, course.events, BOOK.outcome_days)
    return float(np.mean([bool(back) and is_lost(own.learner_id) for own, back in zip(rows, outcomes, strict=True)]))


def test_intervals_of_many_draws_hold_the_truth_as_often_as_they_say(course: Course) -> None:
    truth, misses = 0.0, {"nothing": 0, "nothing, always valid": 0, "lost": 0, "lost, always valid": 0, "twin": 0}
    for number in range(DRAWS):
        book = replace(BOOK, name=f"draw-{number}")
        rows = enrolled(course, book)
        outcomes = came_back(rows, course.events, book.outcome_days)
        truth = truth or true_effect(course, rows)
        lost = [
            back and not (own.arm == HELD_OUT and is_lost(own.learner_id))
            for own, back in zip(rows, outcomes, strict=True)
        ]
        if number == 0:  # it is what the events say that are left
            learner, time_us, topic, names = course.columns
            left = without_lost(course, rows)
            texts = [names[code] for code in topic[left].tolist()]
            thinned = Events.from_numpy(learner[left], time_us[left], texts, texts, time_unit="us")
            assert came_back(rows, thinned, book.outcome_days) == lost
        for name, seen, effect in (("nothing", outcomes, 0.0), ("lost", lost, truth)):
            one = measure_effect(book, rows, seen).result.comparisons[0]
            for kind, mark in ((DecideBy.fixed, ""), (DecideBy.always_valid, ", always valid")):
                reading = one.reading(kind)
                misses[name + mark] += not reading.low <= effect <= reading.high
            fixed = one.reading(DecideBy.fixed)
            misses["twin"] += name == "lost" and not fixed.low <= 0.0 <= fixed.high
    print(f"of {DRAWS} draws over {len(rows)} learners miss: {misses}; lost: {truth:.3f}")
    most, least = binom.ppf(0.9995, DRAWS, 0.05), binom.ppf(0.0005, DRAWS, 0.05)
    assert least <= misses["nothing"] <= most
    # Wider than need be: where an effect is not the same for everybody the variances of two arms are an upper bound.
    assert misses["lost"] <= most
    assert max(misses["nothing, always valid"], misses["lost, always valid"]) <= most
    assert truth > 0.1 and misses["twin"] > most


def test_the_figures_of_the_page(shared_data: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    """docs/interventions.md, by its example, with fewer draws."""
    example = runpy.run_path(str(PROJECT / "examples" / "oulad_interventions.py"), run_name="example")
    page = (PROJECT / "docs" / "interventions.md").read_text(encoding="utf-8")
    world = example["planned"](shared_data("oulad_student_vle.parquet").parent)
    assert capsys.readouterr().out.count(" at risk, ") == len(DAYS)
    rows = world.enrolments
    assert f"{len(rows):,} learners, {sum(own.arm == HELD_OUT for own in rows)} of them held out" in page
    was, lost = example["as_it_was"](world), example["with_lost"](world)
    assert (was.comparison.verdict, lost.comparison.verdict) == (Verdict.undecided, Verdict.improved)
    assert f"{100 * lost.comparison.effect:.1f} points where some fell silent" in page
    truth = example["true_effect"](world)
    assert f"{100 * truth:.1f} points fewer come back" in page
    outcomes = came_back(rows, world.events, 28)
    misses = example["missed"](rows, outcomes, truth, 20)
    assert max(misses.values()) <= binom.ppf(0.9995, 20, 0.05)
