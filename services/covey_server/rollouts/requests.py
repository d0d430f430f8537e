"""What every request about rollouts is checked for before the journal hears of it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from google.api import field_behavior_pb2  # type: ignore[import-untyped]
from google.protobuf.descriptor import FieldDescriptor

from covey.rollout.kinds import CONTROLLER_KINDS
from covey.rollout.spec import check_spec
from covey.rollout.traffic import is_foreign
from covey.v1.rollout_spec_pb2 import SEGMENT_SOURCE_STABLE_COHORT
from covey_server.errors import invalid
from covey_server.outcomes.exposures_phase import MOST_SEGMENTS
from covey_server.rollouts.journal_splits import TARGET
from covey_server.rollouts.leases import LONGEST_SECONDS
from covey_server.rollouts.ticks import tick_problem
from covey_server.store import check_request_id
from covey_server.violations import Violations

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor
    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp

    from covey.rollout.state import RolloutState
    from covey.v1.journal_pb2 import Entry
    from covey.v1.rollout_spec_pb2 import RolloutSpec
    from covey.v1.rollouts_pb2 import AcquireLeaseRequest, CommitDecisionRequest
    from covey.v1.variants_pb2 import Variant
    from covey_server.catalogue.catalogue import Catalogue

LONGEST_TEXT = 2000
"""Of reasons and descriptions."""
LONGEST_WORD = 256
"""Of everything else that is text: names, roles, ids, statements."""
MOST_ENTRIES = 100
LARGEST_ENTRY_BYTES = 1 << 20
_SERVER_CAUSES = frozenset({"CAUSE_UNSPECIFIED", "CAUSE_ABORT", "CAUSE_CRASH_LOOP"})
_TEXT_FIELDS = frozenset({"reason", "description"})


def check_request(request: Message) -> None:
    """Refuse missing required fields, overlong texts and an unusable request id, all at once.

    Raises:
        CallError: INVALID_ARGUMENT.
    """
    violations = Violations()
    for name in _required_fields(request.DESCRIPTOR):
        if not _is_set(request, name):
            violations.add(name, "is required")
    for name in _text_fields(request.DESCRIPTOR):
        longest = LONGEST_TEXT if name in _TEXT_FIELDS else LONGEST_WORD
        length = len(getattr(request, name))
        if length > longest:
            violations.add(name, f"has {length} characters, at most {longest} are kept")
    violations.raise_if_any()
    request_id = getattr(request, "request_id", None)
    if request_id is not None:
        check_request_id(request_id)


def check_rollout_spec(spec: RolloutSpec) -> None:
    """Refuse a spec that cannot be used, naming every field that is wrong.

    Raises:
        CallError: INVALID_ARGUMENT.
    """
    violations = Violations("spec")
    for finding in check_spec(spec):
        if finding.level == "error":
            violations.add(finding.path, finding.message)
    if spec.target and spec.target != TARGET and not is_foreign(spec):
        violations.add(
            "target",
            f"'{spec.target}' is not what this server rolls out; expected '{TARGET}', or traffic and metrics that say "
            "who splits and who counts",
        )
    violations.raise_if_any()


def check_segments(spec: RolloutSpec, baseline: Variant, catalogue: Catalogue) -> None:
    """Refuse segments by cohort where the baseline has no cohorts, or more than can be told apart.

    Raises:
        CallError: INVALID_ARGUMENT.
    """
    if spec.segment_source != SEGMENT_SOURCE_STABLE_COHORT:
        return
    if not baseline.cohort_model:
        raise invalid(
            "spec.segment_source",
            f"'stable_cohort' takes the cohorts of {baseline.name}, which carries no cohort model; discover one, roll "
            "out a variant that carries it, and compare with that, or let callers name their segments",
        )
    count = len(catalogue.cohort_model(baseline.cohort_model).cohorts)
    if count > MOST_SEGMENTS:
        raise invalid(
            "spec.segment_source",
            f"{baseline.cohort_model} has {count} cohorts, and at most {MOST_SEGMENTS} segments are told apart",
        )


def check_phase(state: RolloutState, phase: str) -> None:
    """Refuse a phase that is not of the plan.

    Raises:
        CallError: INVALID_ARGUMENT.
    """
    names = [known.name for known in state.spec.phases]
    if phase not in names:
        raise invalid("phase", f"'{phase}' is no phase of {state.name}; its phases are {', '.join(names)}")


def check_not_past(state: RolloutState, phase: str, not_before: datetime, now: datetime) -> None:
    """Refuse to postpone a phase to a time that is past, unless that takes back a postponement in force.

    Raises:
        CallError: INVALID_ARGUMENT.
    """
    if not_before <= now and state.not_before.get(phase, now) <= now:
        raise invalid(
            "not_before",
            f"{not_before:%Y-%m-%dT%H:%M:%SZ} is past; a time to come postpones, a past one only takes back what "
            f"postpones {phase} now, and nothing does",
        )


def check_decision(request: CommitDecisionRequest) -> None:
    """Refuse entries that are not for a controller to write.

    Raises:
        CallError: INVALID_ARGUMENT.
    """
    violations = Violations()
    if len(request.entries) > MOST_ENTRIES:
        violations.add("entries", f"{len(request.entries)} entries in one decision, at most {MOST_ENTRIES}")
    for index, entry in enumerate(request.entries):
        problem = _decision_problem(entry)
        if problem:
            violations.add(f"entries[{index}]", problem)
    violations.raise_if_any()


def lease_seconds(request: AcquireLeaseRequest, default: float) -> float:
    """The length that a lease is asked for.

    Raises:
        CallError: INVALID_ARGUMENT for one that is not above 0 and at most 5 min.
    """
    if not request.HasField("time_to_live"):
        return default
    seconds = request.time_to_live.seconds + request.time_to_live.nanos / 1e9
    if not 0 < seconds <= LONGEST_SECONDS:
        raise invalid("time_to_live", f"{seconds:g} s; expected more than 0 and at most {LONGEST_SECONDS:g} s")
    return seconds


def time_of(field: str, timestamp: Timestamp) -> datetime:
    """A timestamp as an aware time.

    Raises:
        CallError: INVALID_ARGUMENT where no calendar has it.
    """
    try:
        return timestamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise invalid(field, "is not a time between the years 1 and 9999") from None


def _decision_problem(entry: Entry) -> str:
    kind = entry.WhichOneof("payload")
    if kind is None:
        return "has no payload"
    if kind not in CONTROLLER_KINDS:
        return f"'{kind}' is not for a controller to write; expected one of {', '.join(sorted(CONTROLLER_KINDS))}"
    if entry.ByteSize() > LARGEST_ENTRY_BYTES:
        return f"has {entry.ByteSize()} bytes, at most {LARGEST_ENTRY_BYTES} are kept"
    if len(entry.reason) > LONGEST_TEXT:
        return f"has a reason of {len(entry.reason)} characters, at most {LONGEST_TEXT} are kept"
    if kind == "tick":
        return tick_problem(entry.tick)
    if kind == "rollback_started":
        known = type(entry.rollback_started).Cause.DESCRIPTOR.values_by_number
        if entry.rollback_started.cause not in known:
            return f"{entry.rollback_started.cause} is no cause of a rollback"
        cause = known[entry.rollback_started.cause].name
        if cause in _SERVER_CAUSES:
            return f"{cause} is not a controller's; AbortRollout aborts"
    return ""


@cache
def _required_fields(descriptor: Descriptor) -> tuple[str, ...]:
    behavior = field_behavior_pb2.field_behavior
    return tuple(
        field.name
        for field in descriptor.fields
        if field_behavior_pb2.REQUIRED in field.GetOptions().Extensions[behavior] and field.name != "request_id"
    )


@cache
def _text_fields(descriptor: Descriptor) -> tuple[str, ...]:
    return tuple(
        field.name
        for field in descriptor.fields
        if field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated and field.name != "request_id"
    )


def _is_set(request: Message, name: str) -> bool:
    field = request.DESCRIPTOR.fields_by_name[name]
    if field.message_type is not None and not field.is_repeated:
        return request.HasField(name)
    return bool(getattr(request, name))
