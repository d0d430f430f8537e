"""The plan of a rollout: YAML to RolloutSpec and back, its defaults, its digest, what its server must count."""

from __future__ import annotations

import hashlib

from google.protobuf.duration_pb2 import Duration

from covey.rollout.check import check_spec
from covey.rollout.findings import Finding, SpecError
from covey.rollout.statement import Kind, StatementError, parse_statement, statement_texts
from covey.rollout.traffic import fill_foreign, is_foreign
from covey.rollout.units import duration_of, seconds_of
from covey.rollout.yaml_message import plain, read_message
from covey.v1.rollout_spec_pb2 import (
    ON_SEGMENT_HARM_ROLLBACK,
    ON_SEGMENT_HARM_UNSPECIFIED,
    RolloutSpec,
    Trigger,
)

DEFAULT_SHADOW_SHARE = 0.01
DEFAULT_TICK_SECONDS = 30
DEFAULT_SOAK_TICK_SECONDS = 300
DEFAULT_PROBE_SECONDS = 5
DEFAULT_METRICS_GRACE_SECONDS = 300
DEFAULT_OUTCOME_WINDOW_SECONDS = 7 * 86_400
DEFAULT_ESCALATE_SECONDS = 900
DEFAULT_CRITERION_ALPHA = 0.05
DEFAULT_TRIGGER_ALPHA = 0.01
DEFAULT_LITERAL_MINIMUM_COUNT = 400
DEFAULT_MARGIN = 2.0
DEFAULT_TOLERANCE = 1.0
DEFAULT_ERROR_FLOOR = 0.0005
DEFAULT_FALSE_ROLLBACK_BUDGET = 0.05
# A rollout that cannot advance is rolled back after so many times the phase's hold.
MAX_HOLD_FACTOR = 2


def load_spec(text: str, source: str) -> RolloutSpec:
    """The spec that a YAML text describes, as written: defaults are not filled in.

    Args:
        text: the file's content.
        source: the file's name, for messages.

    Raises:
        SpecError: every error with "file:line: what, expected, remedy".
    """
    spec, lines = read_message(text, RolloutSpec(), source)
    errors = [finding for finding in check_spec(spec) if finding.level == "error"]
    if errors:
        raise SpecError(errors, source, lines)
    return spec


def dump_spec(spec: RolloutSpec) -> str:
    """The spec as YAML that `load_spec` reads back to the same message."""
    import yaml

    return str(yaml.safe_dump(plain(spec), sort_keys=False, allow_unicode=True, width=120))


def with_defaults(spec: RolloutSpec) -> RolloutSpec:
    """A copy with every default filled in and short variant names made whole. Doing it twice changes nothing."""
    full = RolloutSpec()
    full.CopyFrom(spec)
    full.baseline, full.candidate = variant_name(spec.baseline), variant_name(spec.candidate)
    if is_foreign(full):
        fill_foreign(full)
    if not full.HasField("shadow_share"):
        full.shadow_share = 0.0 if is_foreign(full) else DEFAULT_SHADOW_SHARE
    for field, seconds in (
        ("tick_interval", DEFAULT_TICK_SECONDS),
        ("soak_tick_interval", DEFAULT_SOAK_TICK_SECONDS),
        ("probe_interval", DEFAULT_PROBE_SECONDS),
        ("metrics_grace", DEFAULT_METRICS_GRACE_SECONDS),
        ("outcome_window", DEFAULT_OUTCOME_WINDOW_SECONDS),
    ):
        if not full.HasField(field):  # type: ignore[arg-type]
            getattr(full, field).CopyFrom(Duration(seconds=seconds))
    if not full.HasField("error_floor"):
        full.error_floor = DEFAULT_ERROR_FLOOR
    if not full.HasField("false_rollback_budget"):
        full.false_rollback_budget = DEFAULT_FALSE_ROLLBACK_BUDGET
    if full.on_segment_harm == ON_SEGMENT_HARM_UNSPECIFIED:
        full.on_segment_harm = ON_SEGMENT_HARM_ROLLBACK
    for phase in full.phases:
        if not phase.HasField("max_hold"):
            phase.max_hold.CopyFrom(duration_of(MAX_HOLD_FACTOR * seconds_of(phase.hold)))
        for criterion in phase.criteria:
            if not criterion.HasField("alpha"):
                criterion.alpha = DEFAULT_CRITERION_ALPHA
            if not criterion.HasField("margin"):
                criterion.margin = DEFAULT_MARGIN
            if criterion.WhichOneof("on_insufficient") is None:
                criterion.hold = True
    for trigger in full.triggers:
        if not trigger.HasField("alpha"):
            trigger.alpha = DEFAULT_TRIGGER_ALPHA
        if not trigger.HasField("literal_minimum_count"):
            trigger.literal_minimum_count = DEFAULT_LITERAL_MINIMUM_COUNT
        if not trigger.HasField("tolerance"):
            trigger.tolerance = DEFAULT_TOLERANCE
        if trigger.literal == Trigger.LITERAL_UNSPECIFIED:
            trigger.literal = Trigger.LITERAL_HOLD
    return full


def as_created(spec: RolloutSpec) -> RolloutSpec:
    """The spec as the journal of a new rollout keeps it: with defaults, and with what older journals did not ask.

    What is added here and not in `with_defaults` is decided by its presence, so that older journals keep their digest
    and their meaning.
    """
    full = with_defaults(spec)
    full.approval_policy.SetInParent()
    full.calendar.SetInParent()
    if not full.on_call.HasField("escalate_after"):
        full.on_call.escalate_after.CopyFrom(duration_of(DEFAULT_ESCALATE_SECONDS))
    return full


def variant_name(name: str) -> str:
    """The resource name of a variant that may be written short; addresses of a foreign one stay as they are."""
    return name if not name or "/" in name or ":" in name else f"variants/{name}"


def spec_digest(spec: RolloutSpec) -> str:
    """SHA-256 of the deterministic bytes of the spec with its defaults, hexadecimal: what approvals sign."""
    return stored_digest(with_defaults(spec))


def stored_digest(spec: RolloutSpec) -> str:
    """SHA-256 of a spec's deterministic bytes as they are, hexadecimal.

    A journal's spec had the defaults of its day filled in; those that came later are not part of what was signed.
    """
    return hashlib.sha256(spec.SerializeToString(deterministic=True)).hexdigest()


def active_limits_seconds(spec: RolloutSpec) -> tuple[float, ...]:
    """Latency limits that the server must count exactly: those of every criterion and trigger, rising, each once."""
    limits = set()
    for text in statement_texts(spec):
        try:
            statement = parse_statement(text)
        except StatementError:
            continue  # check_spec names it
        if statement.kind is Kind.LATENCY:
            limits.add(statement.limit)
    return tuple(sorted(limits))


__all__ = [
    "Finding",
    "SpecError",
    "active_limits_seconds",
    "as_created",
    "check_spec",
    "dump_spec",
    "load_spec",
    "spec_digest",
    "stored_digest",
    "variant_name",
    "with_defaults",
]
