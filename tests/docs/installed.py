"""An installation as operators' pages know one: a server with rollouts, a dataset, a backup, a controller's page."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
from programs import free_ports
from server.running import NATIVE, REFERENCE, ServedHere

from covey.access.recognition import PageAccess
from covey.client import Client
from covey.rollout.spec import load_spec
from covey.v1 import analyzer_pb2, datasets_pb2, events_pb2, outcomes_pb2
from covey_controller.exporter import Exporter
from covey_server.options import address
from covey_server.wiring import wall_clock

from .typist import Run

PLAN = """
target: {target}
baseline: {baseline}
candidate: {candidate}
{more}
phases:
  - {{name: canary, traffic_share: 1 %, hold: 1h, criteria: [error_rate < {limit} %]}}
  - {{name: ramp, traffic_share: 10 %, hold: 1h, criteria: [error_rate < {limit} %]}}
triggers: [error_rate > 2 %]
"""
FOREIGN = """traffic: {haproxy: {routers: ['127.0.0.1:9']}}
metrics: {scrape: {baseline_urls: ['http://127.0.0.1:9/'], candidate_urls: ['http://127.0.0.1:9/x']}}
"""
SAMPLES = "time,variant,requests,errors\n" + "".join(
    f"{minutes}m,{variant},600,0\n" for minutes in range(10, 130, 10) for variant in ("reference", "native")
)


class Installed:
    """A server of its own, with what the pages say is there.

    Args:
        directory: for all of it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        ports = [f"127.0.0.1:{port}" for port in free_ports(3)]
        self.places = dict(zip(("data", "control", "metrics"), ports, strict=True))
        self._server: ServedHere | None = None
        self._page = Exporter().serve("127.0.0.1", 0, PageAccess(None), None)
        self.places["controller"] = f"127.0.0.1:{self._page.port}"
        self.start()

    def fill(self, run: Run) -> None:
        """Rollouts, plans, samples, a dataset, a backup."""
        for name, target, arms, more in (
            ("spring", "analyzer", ("reference", "native"), ""),
            ("echo", "echo", ("127.0.0.1:1", "127.0.0.1:2"), FOREIGN),
        ):
            spec = PLAN.format(target=target, baseline=arms[0], candidate=arms[1], more=more, limit=1)
            (self.directory / f"{name}.yaml").write_text(spec)
            assert run(["rollout", "create", str(self.directory / f"{name}.yaml"), "--name", name]) == 0
            assert run(["rollout", "start", name]) == 0
        for name, limit in (("plan", 1), ("stricter", 0.5)):
            spec = PLAN.format(target="analyzer", baseline="reference", candidate="native", more="", limit=limit)
            (self.directory / f"{name}.yaml").write_text(spec)
        (self.directory / "samples.csv").write_text(SAMPLES)
        self._dataset()
        self._model_of_churn(run)
        self._exposures()
        backup = ["state", "backup", str(self.directory / "monday"), "--data-directory", str(self.directory / "data")]
        assert run(backup) == 0

    def _model_of_churn(self, run: Run) -> None:
        """churnModels/churn@1, where the server looks for it."""
        models = self.directory / "data" / "churn-models"
        models.mkdir()
        events = self.directory / "learned-from.parquet"
        assert run(["generate", str(events), "--learners", "300", "--weeks", "16", "--seed", "3"]) == 0
        train = ["churn", "train", str(events), "--fit", "logistic", "--save", str(models / "churn@1.json")]
        assert run(train) == 0

    @property
    def is_up(self) -> bool:
        """Whether the server runs."""
        return self._server is not None

    def start(self) -> None:
        """As systemd does."""
        data, control, metrics = (address(self.places[name]) for name in ("data", "control", "metrics"))
        self._server = ServedHere(
            data_directory=self.directory / "data", listen=data, control_listen=control, metrics_listen=metrics
        )

    def stop(self) -> None:
        """As systemd does."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def close(self) -> None:
        """All of it."""
        self.stop()
        self._page.stop()

    def _exposures(self) -> None:
        """Phase ramp of rollouts/native, with the revenue of each learner."""
        assert self._server is not None
        server, random = self._server, np.random.default_rng(1)
        with Client(control=self.places["control"]) as client:
            spec = PLAN.format(target="analyzer", baseline="reference", candidate="native", more="", limit=1)
            client.create_rollout("native", load_spec(spec, "plan.yaml"))
        split = server.split(2500, rollout="rollouts/native", phase="ramp")
        then = wall_clock() - timedelta(hours=1)
        batch = []
        for learner in range(400):
            server.room.ledger.record(split, str(learner), NATIVE if learner % 4 == 0 else REFERENCE, "", then)
            one = outcomes_pb2.Outcome(learner_id=str(learner), metric="revenue", value=5 + random.normal())
            one.time.FromDatetime(then + timedelta(seconds=1))
            batch.append(one)
        server.outcomes.ReportOutcomes(outcomes_pb2.ReportOutcomesRequest(outcomes=batch, request_id="r"))

    def _dataset(self) -> None:
        """datasets/spring: two months of learners who come and go."""
        assert self._server is not None
        random = np.random.default_rng(1)
        learner = np.repeat(np.arange(100), 30)
        day = random.integers(0, 60, len(learner))
        names = events_pb2.DictionaryColumn(
            values=[f"t{topic}" for topic in range(6)],
            indices_uint8=random.integers(0, 6, len(learner)).astype("u1").tobytes(),
        )
        packed = events_pb2.PackedEvents(
            event_count=len(learner),
            learner_id_dictionary=events_pb2.DictionaryColumn(
                values=["ada", *(f"learner-{number}" for number in range(1, 100))],
                indices_uint8=learner.astype("u1").tobytes(),
            ),
            time_us=(1_767_571_200_000_000 + day * 86_400_000_000).astype("<i8").tobytes(),
            domain=names,
            capability=names,
        )
        analyzer = self._server.analyzer
        analyzer.CreateDataset(analyzer_pb2.CreateDatasetRequest(dataset_id="spring", request_id="c"))
        first = datasets_pb2.AppendEventsRequest(dataset="datasets/spring", append_id="a")
        chunk = datasets_pb2.AppendEventsRequest(chunk_sequence=1, packed=packed)
        assert list(analyzer.AppendEvents(iter([first, chunk]), timeout=30))[-1].synced_chunk_sequence == 1
