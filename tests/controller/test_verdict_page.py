"""What the gates say, on the controller's page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from covey.access.certificates import CertificateFiles, Certificates, end_of
from covey.v1.evidence_pb2 import Verdict
from covey_controller.access import ends_of
from covey_controller.exporter import Exporter
from covey_controller.failures import ConfigError

from .world import NAME, World

CRITERION = Verdict(
    role=Verdict.ROLE_CRITERION, statement="error_rate < 1 %", result=Verdict.RESULT_INSUFFICIENT, log_e_value=1.5,
    log_threshold=3.0, alpha_spent=0.05, needed_count=120, eta=Duration(seconds=90), estimate=0.004, lower=0.001,
    upper=0.02, limit=0.01, event_count=2, trial_count=500, design_effect=1.25,
)  # fmt: skip
TRIGGER = Verdict(role=Verdict.ROLE_TRIGGER, statement="p99 > 250 ms", result=Verdict.RESULT_FAIL, log_threshold=5.0)


def samples(exporter: Exporter) -> dict[str, list[tuple[dict[str, str], float]]]:
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(generate_latest(exporter.registry).decode()):
        for sample in family.samples:
            if sample.name.startswith("covey_rollout_"):
                found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def test_only_what_is_said_now_is_shown() -> None:
    exporter = Exporter()
    exporter.judged(NAME, "canary", [CRITERION, TRIGGER])
    found = samples(exporter)
    place = {"rollout": NAME, "phase": "canary", "role": "criterion", "statement": "error_rate < 1 %"}
    assert found["covey_rollout_verdict"][0] == ({**place, "result": "INSUFFICIENT"}, 1)
    assert found["covey_rollout_verdict"][1][0]["result"] == "FAIL"
    for name, value in (("log_e", 1.5), ("log_e_threshold", 3), ("needed_count", 120), ("eta_seconds", 90)):
        assert found[f"covey_rollout_{name}"][0] == (place, value)
    values = {"estimate": 0.004, "estimate_lower": 0.001, "estimate_upper": 0.02, "design_effect": 1.25}
    for name, value in values.items():
        assert found[f"covey_rollout_{name}"] == [(place, value)]  # the trigger has none
    for name, value in (("limit", 0.01), ("event_count", 2), ("trial_count", 500)):
        assert found[f"covey_rollout_{name}"][0] == (place, value)
    assert found["covey_rollout_alpha_spent"] == [(place, 0.05)]
    assert [labels["statement"] for labels, _ in found["covey_rollout_needed_count"]] == ["error_rate < 1 %"]

    passed = Verdict()
    passed.CopyFrom(CRITERION)
    passed.result = Verdict.RESULT_PASS
    exporter.judged(NAME, "ramp", [passed])
    ((labels, _),) = samples(exporter)["covey_rollout_verdict"]
    assert (labels["phase"], labels["result"]) == ("ramp", "PASS")
    exporter.ended(NAME)
    assert not samples(exporter)


def test_a_rollout_that_ended_has_no_last_tick() -> None:
    exporter = Exporter()
    exporter.committed(NAME, 1_767_600_000.0)
    name = "covey_controller_last_tick_timestamp_seconds"
    assert exporter.registry.get_sample_value(name, {"rollout": NAME}) == 1_767_600_000.0
    exporter.ended(NAME)
    exporter.ended("rollouts/never-looked-at")
    assert exporter.registry.get_sample_value(name, {"rollout": NAME}) is None


def test_the_ends_of_certificates_follow_the_files(tmp_path: Path, authority: Any) -> None:
    certificate, key = authority.issue("server")
    ends = ends_of(Certificates(CertificateFiles(certificate, key)), Path(certificate))
    exporter = Exporter()
    exporter.certificates(ends)
    name = "covey_certificate_not_after_timestamp_seconds"
    found = [exporter.registry.get_sample_value(name, {"use": use}) for use in ("server", "client")]
    assert found == [end_of(Path(certificate).read_bytes(), "").timestamp()] * 2
    with pytest.raises(ConfigError, match="--cert"):
        ends_of(None, tmp_path / "nowhere.pem")


def test_a_driven_rollout_is_on_the_page_until_it_ends(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.begin()
    with world.controller() as loop:
        world.run(loop, lambda: world.state().phase_elapsed_seconds >= 60)
        shown = samples(loop._exporter)["covey_rollout_verdict"]
        assert {labels["statement"] for labels, _ in shown} == {"error_rate < 5 %", "p99 < 60 s", "error_rate > 10 %"}
        world.run(loop, lambda: world.state().is_terminal)
        loop.pass_once()
        assert not samples(loop._exporter)
    world.close()


def test_nothing_of_a_rollout_that_has_ended_stays_on_the_page() -> None:
    """A page that grows with every rollout is a controller that does."""
    exporter = Exporter()
    empty = generate_latest(exporter.registry)
    for number in range(3):
        name = f"rollouts/r{number}"
        exporter.look(name, "failed")
        exporter.committed(name, 1.0)
        exporter.routed(name, 100, [("haproxy", None)])
        exporter.judged(name, "canary", [CRITERION, TRIGGER])
    assert generate_latest(exporter.registry) != empty
    for number in range(3):
        exporter.ended(f"rollouts/r{number}")
        exporter.ended("rollouts/unknown")
    assert generate_latest(exporter.registry) == empty
