"""TuneAnalyzer over the wire: the library's answer to the last bit, what `covey tune` writes, refused with a reason."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from google.protobuf.json_format import ParseDict
from waiting import wait_until

from covey import Events
from covey.client import Client
from covey.parameters import TRAIT_NAMES
from covey.together import Space
from covey.tune import Configuration, Goal, Knobs, Problem, Tuned, tune, tune_segments
from covey.tune.files import write_files
from covey.tune.words import verdict
from covey.v1 import analyzer_pb2, datasets_pb2, evolution_pb2, evolution_pb2_grpc, tuning_pb2, tuning_pb2_grpc
from covey_server.studies import tuning
from covey_server.studies.desk import StudyDesk

from .rollout_rooms import refusal
from .running import ServedHere
from .stored import DAY_US, START_US, store_events

NAME = "datasets/course"
AS_OF_US = START_US + 40 * DAY_US
Asked = tuning_pb2.TuneAnalyzerRequest
QUICK: dict[str, Any] = {
    "dataset": NAME,
    "objective": Asked.OBJECTIVE_SEPARATION,
    "constants": [Asked.CONSTANTS_COHORT_COUNT],
    "trial_count": 24,
    "fold_count": 3,
}
KNOBS = Knobs(Configuration.default(4), ("k",))


class Course:
    """A served dataset of 300 learners of two kinds, and the same events in memory."""

    def __init__(self, server: ServedHere) -> None:
        random = np.random.default_rng(1)
        learner = np.repeat(np.arange(300), 30)
        busy = learner % 2 == 0
        day = np.where(busy, random.integers(0, 40, len(learner)), random.integers(0, 6, len(learner)))
        topic = np.where(busy, random.integers(0, 9, len(learner)), 0)
        time_us = START_US + day * DAY_US + random.integers(0, DAY_US, len(learner))
        self.events = store_events(server, "course", learner, time_us, [f"t{number}" for number in range(9)], topic)
        self.server = server
        self.stub = tuning_pb2_grpc.TuningServiceStub(server.data_channel)

    def ask(self, **fields: Any) -> tuning_pb2.TuneAnalyzerResponse:
        answer: tuning_pb2.TuneAnalyzerResponse = self.stub.TuneAnalyzer(Asked(**(QUICK | fields)), timeout=240)
        return answer


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Course]:
    server = ServedHere(data_directory=tmp_path_factory.mktemp("tuning") / "data")
    yield Course(server)
    server.stop()


def is_what_was_found(answer: tuning_pb2.TuneAnalyzerResponse, found: Tuned) -> None:
    """Every number to the last bit, but for weights, which travel as float32."""
    gain = found.gain
    assert answer.as_of.ToMicroseconds() == found.problem.as_of_us
    assert (answer.learner_count, answer.score) == (len(found.problem.known), found.problem.unit)
    assert list(answer.gain.default_scores) == gain.default.tolist()
    assert list(answer.gain.tuned_scores) == gain.tuned.tolist()
    sent = (answer.gain.mean, answer.gain.low, answer.gain.high, answer.gain.p_value, answer.gain.is_shown)
    assert sent == (gain.mean, gain.low, gain.high, gain.p_value, gain.is_shown)
    assert answer.verdict == verdict(found)
    pairs = zip((answer.default_configuration, answer.best, *answer.chosen_by_fold), (found.default, found.best, *found.chosen), strict=True)  # fmt: skip # noqa: E501
    for message, own in pairs:
        assert message.cohort_count == own.k
        assert all(getattr(message.trait_parameters, name) == v for name, v in own.parameters.to_keywords().items())
        assert [np.float32(getattr(message.trait_weights, name)) for name in TRAIT_NAMES] == [
            np.float32(weight) for weight in own.weights
        ]


def test_everything_that_can_be_tuned_is_what_the_library_finds(course: Course, tmp_path: Path) -> None:
    fields = {"constants": [], "most_cohort_count": 6, "default_cohort_count": 3, "seed": 7, "confidence": 0.9}
    answer = course.ask(**fields, variant_id="apart", baseline="variants/reference", prove="outcome(kept) > 1 %", draft_anyway=True)  # fmt: skip # noqa: E501
    found = tune(
        Problem.of(course.events, Goal.separation),
        Knobs(Configuration.default(3), most=6),
        trials=24, folds=3, seed=7, confidence=0.9,
    )  # fmt: skip
    is_what_was_found(answer, found)
    assert answer.best.cohort_count != 3 or answer.best.trait_weights != answer.default_configuration.trait_weights
    # What is drafted is what the command writes, but for the folder in a comment and the dataset that is known here.
    write_files(found, tmp_path, "apart", "variants/reference", "outcome(kept) > 1 %")
    written = {name: (tmp_path / name).read_text() for name in ("variant.yaml", "discovery.yaml", "rollout.yaml")}
    drafted = answer.drafts
    assert drafted.variant_yaml == written["variant.yaml"]
    assert drafted.discovery_yaml == f"dataset: {NAME}\n{written['discovery.yaml']}"
    assert drafted.rollout_yaml == written["rollout.yaml"].replace(f"{tmp_path}/", "")
    spec = ParseDict(yaml.safe_load(drafted.discovery_yaml), datasets_pb2.DiscoverySpec())
    assert spec == drafted.discovery


def test_drafts_become_a_variant_its_cohorts_and_a_rollout(course: Course) -> None:
    server = course.server
    with Client(data=f"127.0.0.1:{server.data_port}", control=f"127.0.0.1:{server.control_port}") as client:
        answer = client.tune_analyzer(Asked(**(QUICK | {"variant_id": "better", "draft_anyway": True})))
        client.create_variant("better", answer.drafts.variant)
        job = client.discover_cohorts(answer.drafts.discovery)
        assert job.spec.variant == "variants/better" and job.spec.cohort_count == answer.best.cohort_count
        rollout = client.create_rollout("better", answer.drafts.rollout)
    assert (rollout.spec.baseline, rollout.spec.candidate) == ("variants/native", "variants/better")
    assert any(own.statement == "engagement > 0 %" for own in rollout.spec.phases[1].criteria)


def test_an_outcome_and_segments_are_what_the_library_finds(course: Course) -> None:
    random = np.random.default_rng(2)
    passed = random.integers(0, 2, 280).astype(float)
    town = [("north", "south", "few")[min(number % 40, 2) if number < 40 else number % 2] for number in range(300)]
    fields: dict[str, Any] = {
        "objective": Asked.OBJECTIVE_OUTCOME,
        "outcomes": [{"learner_id": str(number), "value": value} for number, value in enumerate(passed)],
        "segments": [{"learner_id": str(number), "segment": own} for number, own in enumerate(town)],
    }
    fields["as_of"] = {"seconds": AS_OF_US // 1_000_000}
    answer = course.ask(**fields)
    outcomes = pa.table({"learner": [str(number) for number in range(280)], "passed": passed})
    problem = Problem.of(course.events, Goal.outcome, AS_OF_US, outcomes)
    found = tune(problem, KNOBS, trials=24, folds=3)
    is_what_was_found(answer, found)
    assert answer.learner_count == 280 and not answer.HasField("drafts")  # nothing is to be found
    about = pa.table({"id": [str(number) for number in range(300)], "town": town})
    space = Space.of(course.events.traits(AS_OF_US)).with_attributes(about, "id", ["town"])
    segments = tune_segments(found, KNOBS, space.attribute("town"), folds=3)
    assert {own.segment: own.learner_count for own in answer.segments}["few"] < 100
    for sent, own in zip(answer.segments, segments, strict=True):
        assert (sent.segment, sent.learner_count, sent.adjusted_p_value) == (
            own.name,
            own.learner_count,
            own.adjusted_p,
        )
        assert sent.HasField("gain") == (own.gain is not None) and sent.HasField("best") == (own.best is not None)
        if own.gain is not None:
            assert list(sent.gain.tuned_scores) == own.gain.tuned.tolist()


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"objective": 0}, "objective", "name one"),
        ({"objective": Asked.OBJECTIVE_OUTCOME}, "outcomes", "given with OBJECTIVE_OUTCOME, and only with it"),
        ({"outcomes": [{"learner_id": "1", "value": 1.0}]}, "outcomes", "only with it"),
        ({"constants": [9]}, "constants[0]", "none that can be tuned"),
        ({"fewest_cohort_count": 7, "most_cohort_count": 3}, "fewest_cohort_count", "7 to 3 cohorts"),
        ({"default_cohort_count": 99}, "default_cohort_count", "99 is not 2 to 30"),
        ({"trial_count": 5}, "trial_count", "5 is below 24"),
        ({"fold_count": 2}, "fold_count", "2 is not 3 to 20"),
        ({"seed": -1}, "seed", "-1 is below 0"),
        ({"confidence": 2.0}, "confidence", "2 is not 0.5 to 0.999"),
        ({"variant_id": "Tuned Up"}, "variant_id", "is not a name of the form"),
        ({"baseline": "native"}, "baseline", "is not a name of the form"),
        ({"baseline": "variants/tuned"}, "baseline", "it is the variant that is drafted"),
        ({"prove": "p99 < 3 ms"}, "prove", "is about no outcome"),
        ({"prove": "engagement < 0 %"}, "prove", "claims nothing good"),
        (
            {"objective": Asked.OBJECTIVE_OUTCOME, "outcomes": [{"learner_id": "1", "value": 1.0}]},
            "as_of",
            "until when events are looked at",
        ),
    ],
)
def test_fields_that_are_wrong_are_named(course: Course, fields: dict[str, Any], field: str, words: str) -> None:
    request = Asked(**(QUICK | fields))
    with pytest.raises(tuning.CallError, match=words) as refused:
        tuning.tune_analyzer(request, lambda: pytest.fail("events were read before the request was checked"), 1)
    assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.violations[0][0] == field


def learners(values: list[float]) -> dict[str, Any]:
    rows = [{"learner_id": str(number), "value": value} for number, value in enumerate(values)]
    as_of = {"seconds": AS_OF_US // 1_000_000}
    return {"objective": Asked.OBJECTIVE_OUTCOME, "as_of": as_of, "outcomes": rows}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (learners([0.0, 1.0] * 20), "40 learners whose outcome is known are too few"),
        (learners([1.0] * 300), "the outcome is 1 for every learner"),
        (
            learners([1.0, 0.0] * 75 + [float("nan")] * 140 + [1.0] * 2) | {"as_of": {"seconds": 10}},
            "every event is later",
        ),
        ({"segments": [{"learner_id": str(number % 50), "segment": "s"} for number in range(300)]}, "two rows"),
        ({"segments": [{"learner_id": f"n{number}", "segment": "s"} for number in range(300)]}, "knows none"),
    ],
)
def test_requests_that_do_not_fit_the_events_are_refused(course: Course, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(tuning.InputError, match=words):
        tuning.tune_analyzer(Asked(**(QUICK | fields)), lambda: course.events, 1)


def test_refusals_cross_the_process_with_their_details(course: Course) -> None:
    """Of all kinds, over the wire: fields, the events, the dataset, and too much work, said before it begins."""
    wrong = refusal(course.ask, trial_count=5, fold_count=2)
    assert (wrong.code, wrong.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert wrong.fields == ["trial_count", "fold_count"]
    few = refusal(course.ask, **learners([0.0, 1.0] * 20))
    assert few.code is grpc.StatusCode.INVALID_ARGUMENT and "too few to tune by" in few.message
    assert refusal(course.ask, dataset="datasets/none").code is grpc.StatusCode.NOT_FOUND
    much = refusal(course.ask, trial_count=20_000)
    assert (much.code, much.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TOO_MUCH_WORK")
    assert much.metadata == {"work": str(20_000 * 4 * 300), "most": str(tuning.MOST_LEARNER_TRIALS)}
    assert "`covey tune`" in much.message


def test_work_counts_segments_and_events(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "MOST_LEARNER_TRIALS", 24 * 4 * 300)
    segments = [{"learner_id": str(number), "segment": "s"} for number in range(300)]
    with pytest.raises(tuning.CallError, match="x 2 for segments"):
        tuning.tune_analyzer(Asked(**(QUICK | {"segments": segments})), lambda: course.events, 1)
    monkeypatch.setattr(tuning, "MOST_EVENT_TRIALS", 24 * 4 * 9_000 - 1)
    assert tuning.tune_analyzer(Asked(**QUICK), lambda: course.events, 1).learner_count == 300
    with pytest.raises(tuning.CallError, match="9,000 events"):
        tuning.tune_analyzer(Asked(**(QUICK | {"constants": []})), lambda: course.events, 1)


class _Held:
    """Processes that begin when they are told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_at_work, self.may_end = threading.Event(), threading.Event()
        run: Callable[..., bytes] = StudyDesk._run

        def held(desk: StudyDesk, order: dict[str, object], context: Any) -> bytes:
            if order["kind"] == "tuning":
                self.is_at_work.set()
                assert self.may_end.wait(120)
            return run(desk, order, context)

        monkeypatch.setattr(StudyDesk, "_run", held)


def test_a_search_keeps_out_another_and_no_study_and_ends_with_its_call(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = _Held(monkeypatch)
    call = course.stub.TuneAnalyzer.future(Asked(**QUICK), timeout=240)
    assert held.is_at_work.wait(60)
    other = refusal(course.ask)
    assert (other.code, other.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "STUDY_RUNNING")
    assert "another search for constants is at work" in other.message
    studies = evolution_pb2_grpc.EvolutionServiceStub(course.server.data_channel)
    request = evolution_pb2.GetEvolutionRequest(dataset=NAME, every_days=7, cohort_count=2)
    assert studies.GetEvolution(request, timeout=240).learner_count == 300
    call.cancel()
    held.may_end.set()
    monkeypatch.undo()

    def is_free() -> bool:
        try:
            return course.ask().learner_count == 300
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            return False

    wait_until(is_free, 240)


@pytest.mark.data
def test_a_real_course(shared_data: Callable[[str], Path], start_server: Callable[..., ServedHere]) -> None:
    """Open University, AAA 2013J and 2014J, until day 60: separation is gained, over the wire as in memory."""
    clicks = pq.read_table(shared_data("oulad_student_vle.parquet"))
    clicks = clicks.filter(pc.and_(pc.equal(clicks["code_module"], "AAA"), pc.less(clicks["date"], 60)))
    learner = clicks["id_student"].to_numpy().astype(np.int64)
    time_us = START_US + clicks["date"].to_numpy().astype(np.int64) * DAY_US
    sites, codes = np.unique(clicks["id_site"].to_numpy(), return_inverse=True)
    weight = clicks["sum_click"].to_numpy().astype(np.float32)
    server = start_server()
    events: Events = store_events(server, "aaa", learner, time_us, [str(own) for own in sites], codes, weight)
    stub = tuning_pb2_grpc.TuningServiceStub(server.data_channel)
    answer = stub.TuneAnalyzer(Asked(**(QUICK | {"dataset": "datasets/aaa"})), timeout=240)
    found = tune(Problem.of(events, Goal.separation), KNOBS, trials=24, folds=3)
    is_what_was_found(answer, found)
    assert found.gain.is_shown and answer.HasField("drafts")
    assert answer.learner_count > 300
    variants = server.analyzer.ListVariants(analyzer_pb2.ListVariantsRequest(), timeout=60).variants
    assert answer.drafts.variant.name not in {own.name for own in variants}  # drafts are no more than that
