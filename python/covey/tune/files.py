"""What tuning leaves behind: a variant, how to find its cohorts, and a rollout that must prove it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from covey.errors import InputError
from covey.parameters import TRAIT_NAMES
from covey.tune.objectives import Goal
from covey.tune.search import Tuned

if TYPE_CHECKING:
    from pathlib import Path

    from covey.v1.rollout_spec_pb2 import RolloutSpec

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
        InputError: see `drafts`.
    """
    _plan(Goal.outcome, "unit", "gain", "rollout.yaml", name, baseline, prove)


def _plan(goal: Goal, unit: str, gain: str, file: str, name: str, baseline: str, prove: str) -> tuple[str, RolloutSpec]:
    """A rollout, checked through, and its text.

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
    return plan, message


@dataclass(frozen=True, slots=True)
class Drafts:
    """What is to be created to prove a gain.

    Attributes:
        variant: a covey.v1.Variant as data.
        discovery: a covey.v1.DiscoverySpec as data.
        rollout: the plan.
        rollout_yaml: its text, with what was found as a comment.
    """

    variant: dict[str, Any]
    discovery: dict[str, Any]
    rollout: RolloutSpec
    rollout_yaml: str

    def texts(self) -> dict[str, str]:
        """YAML by the name of its file."""
        import yaml

        data = {"variant.yaml": self.variant, "discovery.yaml": self.discovery}
        texts = {file: yaml.safe_dump(own, sort_keys=False) for file, own in data.items()}
        return {**texts, "rollout.yaml": self.rollout_yaml}


def drafts(
    found: Tuned, name: str, baseline: str, prove: str, *, dataset: str | None = None, file: str = "rollout.yaml"
) -> Drafts:
    """A variant, how to find its cohorts, and the rollout that must prove it.

    Args:
        found: what was tuned.
        name: of the variant, without "variants/".
        baseline: "variants/{variant}".
        prove: statement about an outcome that the rollout must show, such as "engagement > 0 %".
        dataset: "datasets/{dataset}" to find cohorts in, where it is known.
        file: where the plan will be, for its comment.

    Raises:
        InputError: the plan cannot be checked through, such as for a statement that is none.
    """
    goal, gain = found.problem.goal, found.gain
    shown = f"{gain.mean:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"
    text, plan = _plan(goal, found.problem.unit, shown, file, name, baseline, prove)
    variant = {
        "name": f"variants/{name}",
        "engine": "native",
        "trait_parameters": asdict(found.best.parameters),
        "description": f"Tuned for {goal}: {gain.mean:+.4f} {found.problem.unit} on learners held out",
    }
    discovery = {
        **({} if dataset is None else {"dataset": dataset}),
        "variant": f"variants/{name}",
        "cohort_count": found.best.k,
        "seed": found.seed,
        "trait_weights": dict(zip(TRAIT_NAMES, found.best.weights, strict=True)),
    }
    return Drafts(variant, discovery, plan, text)


def write_files(found: Tuned, folder: Path, name: str, baseline: str, prove: str) -> None:
    """Write variant.yaml (a covey.v1.Variant), discovery.yaml (a covey.v1.DiscoverySpec) and rollout.yaml.

    Args:
        found: what was tuned.
        folder: made where it is not there.
        name: of the variant, without "variants/".
        baseline: "variants/{variant}".
        prove: statement about an outcome that the rollout must show.

    Raises:
        InputError: see `drafts`.
        OSError: the folder cannot be written.
    """
    texts = drafts(found, name, baseline, prove, file=str(folder / "rollout.yaml")).texts()
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in texts.items():
        (folder / file).write_text(text, encoding="utf-8")
