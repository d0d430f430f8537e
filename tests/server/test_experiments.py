"""ExperimentService over real ports: a rollout's own exposures and outcomes, tables, plans, and what is refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from waiting import wait_until

from covey.client import Client
from covey.experiment import Design, analyze, experiment_data, parse_outcome
from covey.rollout.spec import load_spec
from covey.v1 import experiments_pb2 as pb
from covey.v1 import outcomes_pb2
from covey_server.answering.budget import MemoryBudget
from covey_server.errors import CallError
from covey_server.experiments import service
from covey_server.experiments.pieces import TablePieces
from covey_server.studies.process import StudyProcesses
from covey_server.wiring import wall_clock

from .running import NATIVE, REFERENCE, ServedHere

PLAN = """
target: analyzer
baseline: reference
candidate: native
phases: [{name: canary, traffic_share: 25 %, hold: 1h, criteria: [error_rate < 1 %]}]
"""
LEARNERS = 1200


@pytest.fixture
def rollout(server: ServedHere) -> ServedHere:
    """A rollout with 25 % of the learners exposed to a candidate whose revenue is higher, but for the segment "eu"."""
    with Client(control=f"127.0.0.1:{server.control_port}") as client:
        client.create_rollout("x", load_spec(PLAN, "plan.yaml"))
    split = server.split(2500, rollout="rollouts/x", outcome_window_seconds=60.0)
    random = np.random.default_rng(1)
    then = wall_clock() - timedelta(hours=1)
    batch = []
    for learner in range(LEARNERS):
        is_candidate = learner % 4 == 0
        segment = ("eu", "us", "")[(learner // 4) % 3]
        server.room.ledger.record(split, str(learner), NATIVE if is_candidate else REFERENCE, segment, then)
        lift = 0.0 if not is_candidate else -1.0 if segment == "eu" else 1.0
        one = outcomes_pb2.Outcome(learner_id=str(learner), metric="revenue", value=5 + lift + random.normal())
        one.time.FromDatetime(then + timedelta(seconds=1))
        batch.append(one)
    server.outcomes.ReportOutcomes(outcomes_pb2.ReportOutcomesRequest(outcomes=batch, request_id="r"))
    return server


def of_rollout(**more: Any) -> pb.AnalyzeExperimentRequest:
    source = pb.RolloutSource(rollout="rollouts/x", phase="canary")
    return pb.AnalyzeExperimentRequest(rollout=source, **more)


def refusal(call: Any, request: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(request)
    return caught.value.code(), caught.value.details() or ""


def test_a_rollout_is_an_experiment_without_export(rollout: ServedHere) -> None:
    answer = rollout.experiments.AnalyzeExperiment(
        of_rollout(segments=[pb.ExperimentSegment(spec="segment")], smallest_segment_unit_count=50)
    )
    analysis = answer.analysis
    assert analysis.unit_count == LEARNERS
    assert [(arm.variant, arm.unit_count, arm.planned_share) for arm in analysis.split.arms] == [
        (REFERENCE, 900, 0.75),
        (NATIVE, 300, 0.25),
    ]
    assert not analysis.split.is_mismatch
    (one,) = analysis.comparisons
    assert (one.outcome, one.kind, one.verdict) == ("revenue", "mean", pb.OutcomeComparison.VERDICT_IMPROVED)
    assert one.effect == pytest.approx(1 / 3, abs=0.2)
    assert [reading.kind for reading in one.readings] == [1, 2, 3]
    assert all(reading.p_text not in {"0", "0.0"} for reading in one.readings)
    (table,) = answer.segments.tables
    verdicts = {row.name: row.verdict for row in table.segments}
    assert verdicts["eu"] == pb.SegmentEffect.VERDICT_HARMED
    assert verdicts["us"] == verdicts["(none)"] == pb.SegmentEffect.VERDICT_IMPROVED
    assert answer.segments.recommendations[0].text.startswith("Keep segment = eu on the control")
    # Routed back to the baseline, they belong to neither arm.
    rollout.split(2500, rollout="rollouts/x", excluded_segments=frozenset({"eu"}))
    without = rollout.experiments.AnalyzeExperiment(of_rollout())
    assert without.analysis.unit_count == LEARNERS * 2 // 3
    assert not without.HasField("segments")


def test_a_table_gives_what_the_library_gives(server: ServedHere) -> None:
    random = np.random.default_rng(2)
    n = 5000
    arm = random.integers(0, 2, n)
    y = random.exponential(1, n) + 0.2 * arm
    names = np.array(["a", "b"])[arm].tolist()
    table = pb.UnitTable(
        columns=[
            pb.UnitColumn(name="unit", integers=pb.Integers(values=range(n))),
            pb.UnitColumn(name="variant", texts=pb.Texts(values=names)),
            pb.UnitColumn(name="y", numbers=pb.Numbers(values=y)),
        ]
    )
    request = pb.AnalyzeExperimentRequest(table=table, outcomes=[pb.ExperimentOutcome(spec="y=mean:y;worth=2 EUR")])
    answer = server.experiments.AnalyzeExperiment(request)
    design = Design((parse_outcome("y=mean:y;worth=2 EUR"),))
    expected = experiment_data(analyze({"unit": np.arange(n), "variant": names, "y": y}, design))
    found = MessageToDict(answer.analysis, preserving_proto_field_name=True)
    for key in ("effect", "standard_error", "adjusted_log_p", "log_e", "why"):
        assert found["comparisons"][0][key] == expected["comparisons"][0][key]
    assert found["headline"] == expected["headline"]
    assert [line["estimate"] for line in found["comparisons"][0]["business"]] == [
        line["estimate"] for line in expected["comparisons"][0]["business"]
    ]


@pytest.mark.parametrize(
    ("request_data", "code", "message"),
    [
        ({}, "INVALID_ARGUMENT", "source: is missing"),
        ({"rollout": {"rollout": "rollouts/y", "phase": "canary"}}, "NOT_FOUND", "rollouts/y"),
        (
            {"rollout": {"rollout": "rollouts/x", "phase": "ramp"}},
            "FAILED_PRECONDITION",
            "wait until the window is over",
        ),
        ({"table": {}}, "INVALID_ARGUMENT", "table.columns: is empty"),
        ({"table": {"columns": [{"name": "unit"}]}}, "INVALID_ARGUMENT", "table.columns[0]: has no values"),
        (
            {"table": {"columns": [{"name": "unit", "integers": {"values": [1, 2]}}, {"name": "v", "texts": {}}]}},
            "INVALID_ARGUMENT",
            "has 0 values; expected 2",
        ),
        (
            {
                "table": {
                    "columns": [
                        {"name": "unit", "integers": {"values": [1, 1]}},
                        {"name": "variant", "texts": {"values": ["a", "b"]}},
                        {"name": "y", "numbers": {"values": [1, 2]}},
                    ]
                },
                "outcomes": [{"spec": "y=mean:y"}],
            },
            "INVALID_ARGUMENT",
            "unit 1 is in two variants, a (row 0) and b (row 1)",
        ),
        (
            {"rollout": {"rollout": "rollouts/x", "phase": "canary"}, "outcomes": [{"spec": "y"}]},
            "INVALID_ARGUMENT",
            "outcomes[0]: 'y' is no outcome",
        ),
        (
            {"rollout": {"rollout": "rollouts/x", "phase": "canary"}, "alpha": 0.9},
            "INVALID_ARGUMENT",
            "alpha is 0.9",
        ),
    ],
)
def test_what_cannot_be_analysed_is_refused_by_name(
    rollout: ServedHere, request_data: dict[str, Any], code: str, message: str
) -> None:
    request = ParseDict(request_data, pb.AnalyzeExperimentRequest())
    found, details = refusal(rollout.experiments.AnalyzeExperiment, request)
    assert (found.name, message in details) == (code, True), details


def test_one_analysis_at_a_time(rollout: ServedHere, monkeypatch: pytest.MonkeyPatch) -> None:
    entered, let_go = threading.Event(), threading.Event()
    book = rollout.room.outcomes
    observations = book.observations

    def slow(*arguments: Any) -> Any:
        entered.set()
        assert let_go.wait(20)
        return observations(*arguments)

    monkeypatch.setattr(book, "observations", slow)
    first = rollout.experiments.AnalyzeExperiment.future(of_rollout())
    assert entered.wait(20)
    code, details = refusal(rollout.experiments.AnalyzeExperiment, of_rollout())
    let_go.set()
    assert (code.name, "come again" in details) == ("RESOURCE_EXHAUSTED", True)
    assert first.result(20).analysis.unit_count == LEARNERS
    assert rollout.experiments.AnalyzeExperiment(of_rollout()).analysis.unit_count == LEARNERS


def test_a_large_analysis_has_a_process_of_its_own_and_gives_the_same(
    rollout: ServedHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is large is here anything at all; answers and refusals are those of this process."""
    asked = [
        of_rollout(),
        of_rollout(segments=[pb.ExperimentSegment(spec="segment")], planned_shares={REFERENCE: 0.75, NATIVE: 0.25}),
    ]
    wrong = of_rollout(outcomes=[pb.ExperimentOutcome(spec="y=mean:joy")])
    answers = [rollout.experiments.AnalyzeExperiment(one) for one in asked]
    refused = refusal(rollout.experiments.AnalyzeExperiment, wrong)
    run, orders = StudyProcesses.run, []

    def counted(own: StudyProcesses, order: dict[str, object], *arguments: Any) -> bytes:
        orders.append(order)
        return run(own, order, *arguments)

    monkeypatch.setattr(StudyProcesses, "run", counted)
    assert rollout.experiments.AnalyzeExperiment(asked[0]) == answers[0]
    assert orders == []
    monkeypatch.setattr(service, "LARGE_BYTES", 0)
    assert [rollout.experiments.AnalyzeExperiment(one) for one in asked] == answers
    assert refusal(rollout.experiments.AnalyzeExperiment, wrong) == refused
    assert [own["kind"] for own in orders] == ["experiment"] * 3


def test_a_plan(server: ServedHere) -> None:
    outcomes = [
        pb.PlannedOutcome(name="kept", share=0.62, minimum_effect=0.02),
        pb.PlannedOutcome(name="y", mean=pb.MeanAndDeviation(mean=10, standard_deviation=30), minimum_effect=0.05),
    ]
    plan = server.experiments.PlanExperiment(pb.PlanExperimentRequest(outcomes=outcomes, units_per_day=3000))
    assert (plan.alpha, plan.power, plan.comparison_count, len(plan.looks)) == (0.05, 0.8, 2, 5)
    for one in plan.outcomes:
        assert one.expected_unit_count < one.fixed_unit_count < one.group_sequential_unit_count
        assert one.fixed_days == pytest.approx(one.fixed_unit_count / 3000, rel=1e-3)
        assert not one.HasField("detectable_effect")
    code, details = refusal(
        server.experiments.PlanExperiment,
        pb.PlanExperimentRequest(outcomes=[pb.PlannedOutcome(name="kept", share=1.5, minimum_effect=0.02)]),
    )
    assert (code.name, "outcomes[0]: outcome 'kept': the share is 1.5" in details) == ("INVALID_ARGUMENT", True)
    code, _ = refusal(server.experiments.PlanExperiment, pb.PlanExperimentRequest())
    assert code.name == "INVALID_ARGUMENT"


def test_a_table_of_any_size_comes_in_pieces(server: ServedHere) -> None:
    random = np.random.default_rng(3)
    n = 300_000
    arm = random.integers(0, 2, n)
    table = {
        "unit": np.arange(n),
        "variant": np.array(["a", "b"])[arm],
        "y": np.where(random.random(n) < 0.01, np.nan, random.exponential(1, n) + 0.02 * arm),
        "z": random.exponential(1, n),
        "region": np.array(["north", "south", None], dtype=object)[random.integers(0, 3, n)],
    }
    asked = pb.AnalyzeExperimentRequest(
        outcomes=[pb.ExperimentOutcome(spec="y=mean:y;missing=drop"), pb.ExperimentOutcome(spec="z=mean:z")],
        segments=[pb.ExperimentSegment(spec="region")],
    )
    assert sum(column.nbytes for name, column in table.items() if name in {"unit", "y", "z"}) > 4 << 20
    with Client(control=f"127.0.0.1:{server.control_port}", data=f"127.0.0.1:{server.data_port}") as client:
        answer = client.analyze_experiment_rows(asked, table, timeout_seconds=60)
        small = client.analyze_experiment_rows(asked, table, rows_per_message=5000, timeout_seconds=60)
    assert small == answer
    design = Design((parse_outcome("y=mean:y;missing=drop"), parse_outcome("z=mean:z")))
    expected = experiment_data(analyze(table, design))
    for found, one in zip(answer.analysis.comparisons, expected["comparisons"], strict=True):
        assert (found.effect, found.standard_error, found.log_e) == (one["effect"], one["standard_error"], one["log_e"])
    assert {row.name for row in answer.segments.tables[0].segments} == {"north", "south", "(none)"}
    wait_until(lambda: server.room.memory_budget.used_bytes == 0)


QUESTION = pb.AnalyzeExperimentRequest(outcomes=[pb.ExperimentOutcome(spec="y=mean:y")])


def rows(**columns: Any) -> pb.AnalyzeExperimentRowsRequest:
    """A message of rows; floats are numbers, the others texts."""
    table = pb.UnitTable()
    for name, values in columns.items():
        column = table.columns.add(name=name)
        if all(isinstance(value, float) for value in values):
            column.numbers.values.extend(values)
        else:
            column.texts.values.extend(values)
    return pb.AnalyzeExperimentRowsRequest(rows=table)


@pytest.mark.parametrize(
    ("messages", "code", "said"),
    [
        ([], "INVALID_ARGUMENT", "question: is missing"),
        ([rows(unit=["1"])], "INVALID_ARGUMENT", "question: is missing; the first message says what is asked"),
        (
            [pb.AnalyzeExperimentRowsRequest(question=of_rollout())],
            "INVALID_ARGUMENT",
            "question.source: is set; the rows come in the messages after this one",
        ),
        ([pb.AnalyzeExperimentRowsRequest(question=QUESTION)], "INVALID_ARGUMENT", "rows: never came"),
        ([pb.AnalyzeExperimentRowsRequest(question=QUESTION)] * 2, "INVALID_ARGUMENT", "rows: is missing"),
        (
            [pb.AnalyzeExperimentRowsRequest(question=QUESTION), rows(unit=["1"], y=[1.0, 2.0])],
            "INVALID_ARGUMENT",
            "rows[0].columns[1]: has 2 values; expected 1",
        ),
        (
            [
                pb.AnalyzeExperimentRowsRequest(question=QUESTION),
                rows(unit=["1"], variant=["a"], y=[1.0]),
                rows(unit=["2"], variant=["b"], z=[1.0]),
            ],
            "INVALID_ARGUMENT",
            "rows[1].columns: are not those of the first rows: y, z; expected the same names and types",
        ),
        (
            [
                pb.AnalyzeExperimentRowsRequest(question=QUESTION),
                rows(unit=["1"], variant=["a"], y=[1.0]),
                rows(unit=["2"], variant=["b"], y=["many"]),
            ],
            "INVALID_ARGUMENT",
            "rows[1].columns: are not those of the first rows: y",
        ),
        (
            [
                pb.AnalyzeExperimentRowsRequest(question=QUESTION),
                rows(unit=["1", "2"], variant=["a", "b"], y=[1.0, 2.0]),
                rows(unit=["2", "3"], variant=["a", "b"], y=[1.0, 2.0]),
            ],
            "INVALID_ARGUMENT",
            "source: ",
        ),
    ],
)
def test_pieces_that_are_no_table_are_refused_by_field(
    server: ServedHere, messages: list[pb.AnalyzeExperimentRowsRequest], code: str, said: str
) -> None:
    found = refusal(server.experiments.AnalyzeExperimentRows, iter(messages))
    assert found[0].name == code
    assert said in found[1]
    wait_until(lambda: server.room.memory_budget.used_bytes == 0)


def test_one_table_is_read_at_a_time_and_tables_have_half_of_the_memory(server: ServedHere) -> None:
    asked = pb.AnalyzeExperimentRowsRequest(question=QUESTION)
    go_on = threading.Event()

    def slowly() -> Iterator[pb.AnalyzeExperimentRowsRequest]:
        yield asked
        yield rows(unit=["1"], variant=["a"], y=[1.0])
        go_on.wait()

    first = server.experiments.AnalyzeExperimentRows.future(slowly())
    try:
        wait_until(lambda: server.room.memory_budget.used_bytes > 0)
        code, said = refusal(server.experiments.AnalyzeExperimentRows, iter([asked]))
        assert (code, said) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "another table is being read; come again in a moment",
        )
    finally:
        go_on.set()
    with pytest.raises(grpc.RpcError):  # one variant is no experiment
        first.result()
    wait_until(lambda: server.room.memory_budget.used_bytes == 0)
    half, other = MemoryBudget(100_000), MemoryBudget(50_000)
    with TablePieces(half, other) as pieces:
        for number in range(15):  # a row each: what a piece takes beside its values counts too
            pieces.add(rows(unit=[str(number)], variant=["a"], y=[1.0]).rows)
        with pytest.raises(CallError, match="no memory is left"):
            pieces.add(rows(unit=["15"], variant=["a"], y=[1.0]).rows)
        assert half.used_bytes == other.used_bytes > 15 * 3 * 1024
    assert half.used_bytes == other.used_bytes == 0


def test_a_column_that_cannot_be_sent_is_refused_before_any_call(server: ServedHere) -> None:
    with (
        Client(control=f"127.0.0.1:{server.control_port}", data=f"127.0.0.1:{server.data_port}") as client,
        pytest.raises(TypeError, match="column 'when' holds timestamp"),
    ):
        client.analyze_experiment_rows(QUESTION, {"unit": ["1"], "when": np.array(["2026-03-01"], "datetime64[us]")})


def test_a_table_beyond_the_budget_is_refused_and_its_memory_is_free_again(server: ServedHere) -> None:
    budget = server.room.memory_budget
    taken = (512 << 20) - (4 << 20)
    assert budget.take(taken)
    try:
        many = rows(unit=[str(number) for number in range(100_000)], y=[1.0] * 100_000)
        messages = [pb.AnalyzeExperimentRowsRequest(question=QUESTION), many, many]
        code, said = refusal(server.experiments.AnalyzeExperimentRows, iter(messages))
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "no memory is left" in said
        wait_until(lambda: budget.used_bytes == taken)
    finally:
        budget.give_back(taken)
