"""What tuning leaves behind: a variant, how to find its cohorts, and a rollout that must prove it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from covey.errors import InputError
from covey.parameters import TRAIT_NAMES
from covey.tune.objectives import Goal
from covey.tune.search import Tuned

_PLAN = """\
# {name} against {baseline}, tuned for {goal} ({unit}): {gain} on learners held out.
# It was chosen on past events, and says nothing yet of what learners do: this rollout must show that.
# Check it:  covey rollout check {file} --rate 42/s
target: analyzer
description: Constants tuned for {goal}
baseline: {baseline}
candidate: variants/{name}

shadow_share: 1 %
outcome_window: 7d

on_call:
  primary: analyzer-primary
  secondary: analyzer-secondary
  escalation: engineering-lead
  escalate_after: 15m

phases:
  # No criterion on mismatch: traits and cohorts change on purpose.
  - name: canary
    traffic_share: 1 %
    hold: 2h
    checkpoints: [15m, 30m, 60m, 90m, 2h]
    criteria:
      - {{ statement: error_rate < 1 %, margin: 0 }}
      - statement: p99 < 200 ms
      - statement: availability > 99.9 %
    approvals:
      roles: [engineering, operations, product, finance]
      valid_for: 7d

  # Long enough that learners' windows close: what is to be proven is an outcome.
  - name: ramp
    traffic_share: 50 %
    hold: 14d
    max_hold: 42d
    checkpoints: [1h, 4h, 1d, 2d, 4d, 7d, 10d, 14d]
    criteria:
      - statement: error_rate < 0.5 %
      - statement: p99 < 200 ms
      - statement: availability > 99.95 %
      - statement: critical_incidents = 0
      - statement: {prove}

  - name: rollout
    traffic_share: 100 %
    soak: true
    hold: 13d
    checkpoints: [1h, 6h, 12h, 1d, 2d, 3d, 5d, 7d, 9d, 11d, 13d]
    criteria:
      - statement: error_rate < 0.1 %
      - statement: p99 < 200 ms
      - statement: availability > 99.9 %
    approvals:
      roles: [engineering, operations, product, finance]
      unless_every_criterion_passes: true

triggers:
  - {{ statement: error_rate > 1.5 %, sustained: 2m }}
  - {{ statement: p99 > 250 ms, sustained: 5m }}
  - {{ statement: availability < 99 %, sustained: 5m }}
  - {{ statement: "{harm}", sustained: 10m }}
  - statement: critical_incidents > 0
"""


def _outcome_of(prove: str) -> str:
    """The outcome that a statement is about.

    Raises:
        InputError: it is about none, claims nothing good of it, or is no statement.
    """
    from covey.rollout.statement import Kind, StatementError, parse_statement

    try:
        statement = parse_statement(prove)
    except StatementError as error:
        raise InputError(f"'{prove}' is no statement: {error}") from None
    if statement.kind is not Kind.OUTCOME:
        raise InputError(f"'{prove}' is about no outcome", expected="one such as engagement > 0 %")
    if not statement.claims_good:
        raise InputError(
            f"'{prove}' claims nothing good of the variant, and a rollout cannot prove it by that",
            expected="a statement such as engagement > 0 %",
        )
    return prove.split(">", maxsplit=1)[0].strip()


def check_names(name: str, baseline: str, prove: str) -> None:
    """Check what the plan of a rollout will be made of, before the search that takes long.

    Raises:
        InputError: see `write_files`.
    """
    _plan(Goal.outcome, "unit", "gain", Path("rollout.yaml"), name, baseline, prove)


def _plan(goal: Goal, unit: str, gain: str, file: Path, name: str, baseline: str, prove: str) -> str:
    """The text of a rollout, checked through.

    Raises:
        InputError: it cannot be planned.
    """
    from covey.rollout.findings import SpecError
    from covey.rollout.spec import check_spec
    from covey.rollout.yaml_message import read_message
    from covey.v1.rollout_spec_pb2 import RolloutSpec

    plan = _PLAN.format(
        name=name, baseline=baseline, goal=goal, unit=unit, file=file, prove=prove,
        harm=f"{_outcome_of(prove)} < -5 %", gain=gain,
    )  # fmt: skip
    try:
        message, _ = read_message(plan, RolloutSpec(), "rollout.yaml")
    except SpecError as error:  # a name that is no name breaks the text
        raise InputError(f"the rollout cannot be planned: {error}") from None
    problems = [own for own in check_spec(message) if own.level == "error"]
    if problems:
        raise InputError(f"the rollout cannot be planned: {problems[0].path}: {problems[0].message}")
    return plan


def write_files(found: Tuned, folder: Path, name: str, baseline: str, prove: str) -> None:
    """Write variant.yaml (a covey.v1.Variant), discovery.yaml (a covey.v1.DiscoverySpec) and rollout.yaml.

    Args:
        found: what was tuned.
        folder: made where it is not there.
        name: of the variant, without "variants/".
        baseline: "variants/{variant}".
        prove: statement about an outcome that the rollout must show, such as "engagement > 0 %".

    Raises:
        InputError: the plan cannot be checked through, such as for a statement that is none.
        OSError: the folder cannot be written.
    """
    import yaml

    goal, gain = found.problem.goal, found.gain
    shown = f"{gain.mean:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"
    plan = _plan(goal, found.problem.unit, shown, folder / "rollout.yaml", name, baseline, prove)
    folder.mkdir(parents=True, exist_ok=True)
    parts: dict[str, dict[str, Any]] = {
        "variant.yaml": {
            "name": f"variants/{name}",
            "engine": "native",
            "trait_parameters": asdict(found.best.parameters),
            "description": f"Tuned for {goal}: {gain.mean:+.4f} {found.problem.unit} on learners held out",
        },
        "discovery.yaml": {
            "variant": f"variants/{name}",
            "cohort_count": found.best.k,
            "seed": found.seed,
            "trait_weights": dict(zip(TRAIT_NAMES, found.best.weights, strict=True)),
        },
    }
    for file, data in parts.items():
        (folder / file).write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    (folder / "rollout.yaml").write_text(plan, encoding="utf-8")
