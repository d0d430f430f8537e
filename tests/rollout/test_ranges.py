"""Values that no plan can mean are findings, and nothing is computed with them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from covey.rollout.check import check_spec
from covey.v1.rollout_spec_pb2 import Criterion, Phase, RolloutSpec, Trigger


def good() -> RolloutSpec:
    return RolloutSpec(
        target="analyzer",
        baseline="variants/reference",
        candidate="variants/native",
        phases=[
            Phase(
                name="canary",
                traffic_share=1.0,
                hold=Duration(seconds=600),
                criteria=[Criterion(statement="error_rate < 1 %")],
            )
        ],
        triggers=[Trigger(statement="error_rate > 2 %")],
    )


CASES: list[tuple[str, Callable[[RolloutSpec], object]]] = [
    ("phases[0].hold", lambda spec: spec.phases[0].hold.CopyFrom(Duration(seconds=2**62))),
    ("tick_interval", lambda spec: spec.tick_interval.CopyFrom(Duration(nanos=1))),
    ("probe_interval", lambda spec: spec.probe_interval.CopyFrom(Duration(nanos=1000))),
    ("tick_interval", lambda spec: spec.tick_interval.CopyFrom(Duration(seconds=1, nanos=-5))),
    ("metrics_grace", lambda spec: spec.metrics_grace.CopyFrom(Duration(seconds=2**61))),
    ("phases[0].checkpoints[0]", lambda spec: spec.phases[0].checkpoints.append(Duration(seconds=2**60))),
    ("phases[0].not_before", lambda spec: spec.phases[0].not_before.CopyFrom(Timestamp(seconds=2**62))),
    ("phases[0].not_before", lambda spec: spec.phases[0].not_before.CopyFrom(Timestamp(nanos=-1))),
    ("triggers[0].literal", lambda spec: setattr(spec.triggers[0], "literal", 77)),
    ("phases[0].criteria[0].accept_by", lambda spec: setattr(spec.phases[0].criteria[0], "accept_by", "")),
    ("", lambda spec: setattr(spec, "description", "x" * 200_000)),
    ("triggers", lambda spec: spec.triggers.extend(Trigger(statement=f"p99 > {i + 1} ms") for i in range(100))),
    ("phases", lambda spec: spec.phases.extend(Phase(name=f"p{i}") for i in range(100))),
]


@pytest.mark.parametrize(("path", "spoil"), CASES)
def test_what_no_plan_can_mean_is_an_error_at_its_place(path: str, spoil: Callable[[RolloutSpec], object]) -> None:
    spec = good()
    assert not [finding for finding in check_spec(spec) if finding.level == "error"]
    spoil(spec)
    assert path in {finding.path for finding in check_spec(spec) if finding.level == "error"}
