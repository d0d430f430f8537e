"""Three servers, each with the learners of its region: the bits of one process, and nobody's id on the wire."""

from __future__ import annotations

import json
import shlex
import struct
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from docs.reading import PROJECT, commands
from typer.testing import CliRunner

from covey.cli import app
from covey.client import CallFailed, Client
from covey.client.federation import RemoteRegion, question_message
from covey.cohort_message import cohort_model_message
from covey.federation import Federation, RegionRefusedError, discover_without_learners
from covey.federation.questions import StepSizes, StepSums
from covey.parameters import DEFAULT_TRAIT_WEIGHTS
from covey.parts import LocalPart
from covey.parts.questions import Conclude, CountLearners, LloydStep
from covey.v1 import analyzer_pb2, federation_pb2
from covey_server.federation.desk import RegionDesk

from .three_regions import AS_OF_US, DATASET, LEARNERS, NAMES, SEED, K, Regions
from .wiretap import Wiretap


@pytest.fixture(scope="module")
def regions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Regions]:
    made = Regions(tmp_path_factory.mktemp("regions"))
    yield made
    made.stop()


def new_run() -> str:
    return f"run-{uuid.uuid4()}"


def test_the_bits_of_one_process_and_no_id_on_the_wire(regions: Regions) -> None:
    run = new_run()
    with ExitStack() as stack:
        taps = {name: stack.enter_context(Wiretap(regions.servers[name].data_port)) for name in NAMES}
        remote = {
            name: RemoteRegion(regions.client(name, stack, tap.address), regions.request(name, run))
            for name, tap in taps.items()
        }
        with Federation(remote) as federation:
            found = discover_without_learners(federation.ask, K, SEED, attempts=2)
            model = cohort_model_message(found, "cohortModels/world")
            for each in remote.values():
                each.close(model)
        crossed = {name: tap.everything() for name, tap in taps.items()}
        traits = regions.events.traits(AS_OF_US)
        whole = LocalPart(traits.matrix, traits.learner_ids.hashes(), DEFAULT_TRAIT_WEIGHTS)
        expected = discover_without_learners(lambda question: [whole.answer(question)], K, SEED, attempts=2)
        assert found.centroids.tobytes() == expected.centroids.tobytes()
        assert (found.cohorts, found.quality) == (expected.cohorts, expected.quality)

        hashes, sums = traits.learner_ids.hashes(), traits.matrix
        single = [regions.ids[number].encode() for number in range(LEARNERS)]
        single += [struct.pack("<Q", value) for value in hashes.tolist()]
        single += [struct.pack(">Q", value) for value in hashes.tolist()]
        single += [sums[:, number].astype("<f4").tobytes() for number in range(LEARNERS)]
        single += [struct.pack("<q", value) for value in np.unique(regions.times).tolist()]
        for name, data in crossed.items():
            assert b"masked" not in data and len(data) > 10_000, "the tap sees what crosses"
            assert b"FederationService" in data
            assert not [each for each in single if each in data], name

        # The twin: the same tap sees a learner where one is asked for, so an id would have been found.
        asked = regions.ids[0]
        for name, tap in taps.items():
            with pytest.raises(CallFailed) if asked not in _own(regions, name) else ExitStack():
                regions.client(name, stack, tap.address).get_learner_cohort(asked, DATASET, model="cohortModels/world")
        assert any(asked.encode() in tap.everything() for tap in taps.values())

    with ExitStack() as stack:
        for name in NAMES:
            kept = regions.client(name, stack).get_cohort_model("cohortModels/world")
            assert [cohort.learner_count for cohort in kept.cohorts] == [row.size for row in found.cohorts]


def _own(regions: Regions, name: str) -> set[str]:
    ids = regions.servers[name].room.dataset_rooms.datasets.view(DATASET, "dataset").events().learner_ids
    return {ids.text(number) for number in range(len(ids))}


def test_every_answer_is_in_the_audit_and_a_region_that_is_gone_ends_the_run(regions: Regions) -> None:
    run = new_run()
    with ExitStack() as stack:
        remote = {name: RemoteRegion(regions.client(name, stack), regions.request(name, run)) for name in NAMES}
        with Federation(remote) as federation:
            (count,) = federation.ask(CountLearners())
            federation.ask(LloydStep(None, np.full((2, 5), 0.2, np.float32)))
            regions.client("asia", stack).close_region(run)
            with pytest.raises(RegionRefusedError, match=r"region asia: .*is not at work in this region"):
                federation.ask(CountLearners())
        assert count == LEARNERS
        with pytest.raises(CallFailed, match="not at work"):
            regions.client("europe", stack).ask_region(question_message(run, 9, CountLearners()))
        told = list(regions.client("asia", stack).list_region_answers(run))
        assert [(each.number, each.question, each.number_count) for each in told] == [
            (3, "sums", 10), (2, "sizes", 3), (1, "count", 1),
        ]  # fmt: skip
        assert all(each.actor == "ada" and list(each.regions) == list(NAMES) for each in told)
        lines = (regions.servers["asia"].room.config.data_directory / "federation/answers.jsonl").read_text()
        assert sum(json.loads(line)["run"] == run for line in lines.splitlines()) == 3


STEP = LloydStep(None, np.full((2, 5), 0.3, np.float32))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"run": "short"}, "run: expected 8 to 64"),
        ({"region": "a b"}, "region: expected 1 to 63"),
        ({"dataset": "datasets/none"}, "datasets/none"),
        ({"minimum_group_size": 10}, "minimum_group_size: 10 is below 50"),
        ({"minimum_group_size": 5000}, "fewer than 5000 learners"),
        ({"trait_weights": {"learning_velocity": 0.5}}, "trait_weights: expected numbers"),
        ({"trait_weights": {"learning_velocity": float("nan")}}, "trait_weights: expected numbers"),
    ],
)
def test_a_run_that_cannot_be_opened(regions: Regions, changes: dict[str, Any], problem: str) -> None:
    with ExitStack() as stack, pytest.raises(CallFailed, match=problem):
        regions.client("asia", stack).open_region(regions.request("asia", new_run(), **changes))


def test_questions_out_of_order_and_out_of_range(regions: Regions) -> None:
    run = new_run()
    with ExitStack() as stack:
        client = regions.client("asia", stack)
        key = client.open_region(regions.request("asia", run))
        assert client.open_region(regions.request("asia", run)) == key, "a retry hears the same"
        with pytest.raises(CallFailed, match="choose another run"):
            client.open_region(regions.request("asia", run, minimum_group_size=60))
        with pytest.raises(CallFailed, match="join the run"):
            client.ask_region(question_message(run, 1, CountLearners()))
        with pytest.raises(CallFailed, match="not the one it gave"):
            client.join_region(run, {"asia": bytes(32)})
        client.join_region(run, {"asia": key})
        client.join_region(run, {"asia": key})
        assert client.ask_region(question_message(run, 1, CountLearners())) == client.ask_region(
            question_message(run, 1, CountLearners())
        )
        refused = [
            (question_message(run, 1, StepSizes(STEP)), "question 1 was answered"),
            (question_message(run, 2, StepSums(STEP, np.ones(2, bool))), "whose sizes were asked for"),
            (question_message(run, 2, Conclude(STEP.centroids, np.arange(2, dtype=np.int32))), "sums were told"),
            (question_message(run, 0, CountLearners()), "number: 0"),
            (federation_pb2.AskRegionRequest(run=run, number=2), "question: one of"),
            (federation_pb2.AskRegionRequest(run=run, number=2, sizes={"centroids": [0.1] * 4}), "sizes.centroids"),
            (federation_pb2.AskRegionRequest(run=run, number=2, sizes={"centroids": [float("nan")] * 5}), "0 to 1"),
            (federation_pb2.AskRegionRequest(run=run, number=2, deviations={"means": [0.5]}), "deviations.means"),
            (
                federation_pb2.AskRegionRequest(
                    run=run, number=2, conclusion={"centroids": [0.1] * 10, "new_labels": [0, 0]}
                ),
                "conclusion.new_labels",
            ),
        ]
        for request, problem in refused:
            with pytest.raises(CallFailed, match=problem):
                client.ask_region(request)
        client.close_region(run)
        client.close_region(run)


def test_two_runs_at_a_time_and_one_that_ends_gives_its_place_back(regions: Regions) -> None:
    """The processes that would open them are let wait, so that the places are seen without them."""
    desk = regions.servers["africa"].room.federation_desk
    first, second, third = (regions.request("africa", new_run()) for _ in range(3))
    with ExitStack() as stack:
        client = regions.client("africa", stack)
        for request in (first, second):
            desk.begin(request)
        with (
            Client(data=f"127.0.0.1:{regions.servers['africa'].data_port}", timeout_seconds=5) as hasty,
            pytest.raises(CallFailed, match="2 runs are at work"),
        ):
            hasty.open_region(third)
        client.close_region(first.run)
        desk.begin(third)
        for request in (second, third):
            client.close_region(request.run)


def test_a_model_that_is_none_is_not_kept(regions: Regions) -> None:
    traits = regions.events.traits(AS_OF_US)
    whole = LocalPart(traits.matrix, traits.learner_ids.hashes(), DEFAULT_TRAIT_WEIGHTS)
    found = discover_without_learners(lambda question: [whole.answer(question)], K, SEED, attempts=1)
    with ExitStack() as stack:
        client = regions.client("europe", stack)
        for change, problem in (
            ({"cohorts": []}, "cohort_model.cohorts"),
            ({"engine": "other"}, "cohort_model.engine"),
            ({"name": "World"}, "name"),
        ):
            model = cohort_model_message(found, "cohortModels/none")
            for field, value in change.items():
                model.ClearField(field)  # type: ignore[arg-type]
                if value:
                    setattr(model, field, value)
            with pytest.raises(CallFailed, match=problem):
                client.close_region(new_run(), model)


def test_what_the_page_says_to_type(regions: Regions) -> None:
    """docs/federation.md, with the three regions of this test in place of its two."""
    discover, audit = (one.bare for one in commands(PROJECT / "docs/federation.md") if one.bare.startswith("covey"))
    places = {name: f"127.0.0.1:{server.data_port}" for name, server in regions.servers.items()}
    moment = np.datetime64(AS_OF_US, "us").astype(str) + "Z"
    words = discover.replace("127.0.0.1:50051", places["africa"]).replace("127.0.0.1:50151", places["europe"])
    words = words.replace("2026-03-01T00:00:00Z", moment).replace("-k 5", "-k 3")
    more = ["--region", f"asia={places['asia']}", "--attempts", "1", "--timeout", "4m"]
    done = CliRunner().invoke(app, [*shlex.split(words)[1:], *more])
    assert done.exit_code == 0, done.output
    assert "600 learners of africa, asia, europe, who stayed there" in done.output
    told = CliRunner().invoke(app, shlex.split(audit.replace("127.0.0.1:50151", places["europe"]))[1:])
    assert told.exit_code == 0 and "sizes" in told.output, told.output
    lost = ["federate", "discover", "--region", "mars=127.0.0.1:1", "--dataset", "pupils", "--as-of", moment]
    gone = CliRunner().invoke(app, [*lost, "--timeout", "1s"])
    assert gone.exit_code == 1
    assert "region mars" in str(gone.exception), gone.exception


def test_files_that_are_replaced_stay_until_a_run_has_read_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A learner is forgotten, and another file takes the place of theirs, as the run begins."""
    own = Regions(tmp_path)
    server = own.servers["asia"]
    begin = RegionDesk.begin
    folder = server.room.config.data_directory / DATASET
    counts: list[int] = []

    def replaced(desk: RegionDesk, request: federation_pb2.OpenRegionRequest) -> Any:
        learner = next(
            each for each in own.ids if server.room.dataset_rooms.datasets.view(DATASET).learner_events(each)
        )
        forget = analyzer_pb2.DeleteLearnerRequest(learner_id=learner, request_id="d")
        server.analyzer.DeleteLearner(forget, timeout=60)
        counts.append(len(list(folder.glob("*.arrow"))))
        return begin(desk, request)

    monkeypatch.setattr(RegionDesk, "begin", replaced)
    with ExitStack() as stack:
        assert own.client("asia", stack).open_region(own.request("asia", new_run()))
    assert counts == [2] and len(list(folder.glob("*.arrow"))) == 1
    own.stop()
