"""The fleet file: YAML to FleetSpec, what is wrong with it, its digest, and the plan of each region."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from covey.rollout.check import NAME
from covey.rollout.findings import Finding, SpecError
from covey.rollout.spec import active_limits_seconds, check_spec
from covey.rollout.statement import Kind, StatementError, parse_statement
from covey.rollout.units import duration_of, seconds_of
from covey.rollout.yaml_message import read_message
from covey.v1.fleet_pb2 import FleetSpec, Region
from covey.v1.rollout_spec_pb2 import Criterion, FleetPart, Phase, RolloutSpec, Trigger

GLOBAL_PHASE = "all-regions"
_COUNTED = frozenset({Kind.ERROR_RATE, Kind.AVAILABILITY, Kind.LATENCY, Kind.MISMATCH})


def load_fleet(text: str, source: str) -> FleetSpec:
    """The fleet that a YAML text describes, as written.

    Args:
        text: the file's content.
        source: the file's name, for messages.

    Raises:
        SpecError: every error with "file:line: what, expected, remedy".
    """
    fleet, lines = read_message(text, FleetSpec(), source)
    errors = [finding for finding in check_fleet(fleet) if finding.level == "error"]
    if errors:
        raise SpecError(errors, source, lines)
    return fleet


def fleet_digest(fleet: FleetSpec) -> str:
    """SHA-256 of what the fleet does, hexadecimal; addresses and credentials may change on the way."""
    bare = FleetSpec()
    bare.CopyFrom(fleet)
    bare.ClearField("access")
    for region in bare.regions:
        for field in ("control", "data", "metrics", "access"):
            region.ClearField(field)
    return hashlib.sha256(bare.SerializeToString(deterministic=True)).hexdigest()


def waves_of(fleet: FleetSpec) -> list[list[str]]:
    """Names of the regions by wave, the first wave first."""
    numbers = wave_numbers(fleet)
    return [[name for name, wave in numbers.items() if wave == number] for number in sorted(set(numbers.values()))]


def wave_numbers(fleet: FleetSpec) -> Mapping[str, int]:
    """The wave of every region, 1 for the first; in the order written where no region names one."""
    if any(region.wave for region in fleet.regions):
        return {region.name: region.wave for region in fleet.regions}
    return {region.name: number for number, region in enumerate(fleet.regions, start=1)}


def region_spec(fleet: FleetSpec, region: Region) -> RolloutSpec:
    """The plan of one region: the fleet's, with the region's windows and words, and whose part it is."""
    spec = RolloutSpec()
    spec.CopyFrom(fleet.rollout)
    spec.description = spec.description or fleet.description
    for override in region.overrides:
        for holder in _holders(spec, override.phase):
            if _same(holder.statement, override.statement):
                holder.statement = override.instead
    spec.calendar.freezes.extend(region.freezes)
    if region.time_zone:
        spec.calendar.time_zone = region.time_zone
    if region.business_hours:
        del spec.calendar.business_hours[:]
        spec.calendar.business_hours.extend(region.business_hours)
    part = FleetPart(
        fleet=fleet.name, region=region.name, wave=wave_numbers(fleet)[region.name], fleet_digest=fleet_digest(fleet)
    )
    spec.fleet.CopyFrom(part)
    return spec


def global_plan(fleet: FleetSpec) -> RolloutSpec:
    """The global gate as a plan of one phase, which the gates judge like any other."""
    plan = fleet.rollout
    asked = sum(seconds_of(phase.hold) for phase in plan.phases) * max(len(fleet.regions), 1)
    spec = RolloutSpec(
        target=plan.target,
        baseline=plan.baseline,
        candidate=plan.candidate,
        phases=[
            Phase(
                name=GLOBAL_PHASE,
                traffic_share=plan.phases[0].traffic_share if plan.phases else 1.0,
                hold=duration_of(asked),
                criteria=fleet.global_gate.criteria,
            )
        ],
        triggers=fleet.global_gate.triggers,
    )
    for field in ("tick_interval", "traffic", "metrics"):
        if plan.HasField(field):
            getattr(spec, field).CopyFrom(getattr(plan, field))
    for field in ("error_floor", "false_rollback_budget"):
        if plan.HasField(field):  # type: ignore[arg-type]
            setattr(spec, field, getattr(plan, field))
    return spec


def check_fleet(fleet: FleetSpec) -> list[Finding]:
    """Every finding about a fleet, those of the plan included; errors make it unusable, warnings do not."""
    found = [Finding("error", path, message) for path, message in _own_findings(fleet)]
    if fleet.HasField("rollout"):
        found += [Finding(it.level, f"rollout.{it.path}" if it.path else "rollout", it.message)
                  for it in check_spec(fleet.rollout)]  # fmt: skip
    if any(finding.level == "error" for finding in found):
        return found
    for index, region in enumerate(fleet.regions):
        known = {(it.path, it.message) for it in check_spec(fleet.rollout)}
        found += [
            Finding(it.level, f"regions[{index}]", f"its plan would not do: {it.path}: {it.message}")
            for it in check_spec(region_spec(fleet, region))
            if (it.path, it.message) not in known
        ]
    return found + _gate_findings(fleet)


def _own_findings(fleet: FleetSpec) -> Iterator[tuple[str, str]]:
    if not NAME.match(fleet.name):
        yield "name", f"'{fleet.name}' is no name; expected 1 to 63 of a-z, 0-9 and -, beginning with a letter"
    if not fleet.HasField("rollout"):
        yield "rollout", "the plan is missing; expected what `covey rollout plan` reads, below this key"
    if fleet.rollout.HasField("fleet"):
        yield "rollout.fleet", "it is written by `covey fleet`; leave it out"
    if not fleet.regions:
        yield "regions", "there is none; a fleet needs at least one region"
    if seconds_of(fleet.wave_dwell) < 0:
        yield "wave_dwell", "expected a duration of 0 or more, such as 1h"
    if fleet.tolerated_region_count < 0:
        yield "tolerated_region_count", f"{fleet.tolerated_region_count} is below 0"
    phases = [phase.name for phase in fleet.rollout.phases]
    if fleet.wave_done_in_phase and fleet.wave_done_in_phase not in phases:
        known = ", ".join(phases)
        yield "wave_done_in_phase", f"there is no phase '{fleet.wave_done_in_phase}'; the phases are {known}"
    named = [bool(region.wave) for region in fleet.regions]
    seen: dict[tuple[str, str], str] = {}
    for index, region in enumerate(fleet.regions):
        path = f"regions[{index}]"
        if not NAME.match(region.name):
            yield f"{path}.name", f"'{region.name}' is no name; expected 1 to 63 of a-z, 0-9 and -"
        if not region.control:
            yield f"{path}.control", "it is missing; expected host:port of the region's control port"
        for field in ("name", "control"):
            value = getattr(region, field)
            if value and (field, value) in seen:
                yield (
                    f"{path}.{field}",
                    f"'{value}' is {seen[field, value]}'s already; every region has its own",
                )
            seen.setdefault((field, value), f"{path} {region.name}" if field == "control" else path)
        if region.wave < 0 or (any(named) and not named[index]):
            yield f"{path}.wave", "expected 1 or more, of every region or of none"
        yield from _override_findings(fleet.rollout, region, path, phases)
        if bool(region.access.cert) != bool(region.access.key):
            yield f"{path}.access", "cert and key go together"


def _override_findings(plan: RolloutSpec, region: Region, path: str, phases: list[str]) -> Iterator[tuple[str, str]]:
    for number, override in enumerate(region.overrides):
        place = f"{path}.overrides[{number}]"
        if override.phase and override.phase not in phases:
            yield f"{place}.phase", f"there is no phase '{override.phase}'; the phases are {', '.join(phases)}"
            continue
        found = [holder for holder in _holders(plan, override.phase) if _same(holder.statement, override.statement)]
        if not found:
            yield f"{place}.statement", f"the plan does not say '{override.statement}' there; copy it as it is"
        try:
            parse_statement(override.instead)
        except StatementError as error:
            yield f"{place}.instead", str(error)


def _gate_findings(fleet: FleetSpec) -> list[Finding]:
    """Of the global gate: what no gate could judge, and what the regions do not count."""
    if not fleet.global_gate.criteria and not fleet.global_gate.triggers:
        return []
    found = []
    for it in check_spec(global_plan(fleet)):
        if it.path.startswith(("phases[0].criteria", "triggers")) and it.level == "error":
            path = it.path.replace("phases[0].criteria", "global_gate.criteria").replace(
                "triggers", "global_gate.triggers"
            )
            found.append(Finding(it.level, path, it.message))
    if found:
        return found
    counted = [set(active_limits_seconds(region_spec(fleet, region))) for region in fleet.regions]
    for field in ("criteria", "triggers"):
        for index, holder in enumerate(getattr(fleet.global_gate, field)):
            path, statement = f"global_gate.{field}[{index}]", parse_statement(holder.statement)
            if statement.kind not in _COUNTED:
                what = "error_rate, availability, mismatch or a latency with a limit"
                found.append(Finding("error", path, f"'{statement.text}' is not summed over regions; expected {what}"))
            elif statement.kind is Kind.LATENCY:
                blind = [region.name for region, limits in zip(fleet.regions, counted, strict=True)
                         if statement.limit not in limits]  # fmt: skip
                if blind:
                    text = f"{', '.join(blind)} does not count requests slower than {statement.limit * 1000:g} ms"
                    found.append(Finding("error", path, f"{text}; name that limit in the plan, too"))
    return found


def _holders(spec: RolloutSpec, phase_name: str) -> Iterator[Criterion | Trigger]:
    for phase in spec.phases:
        if phase_name in {"", phase.name}:
            yield from phase.criteria
    if not phase_name:
        yield from spec.triggers


def _same(written: str, named: str) -> bool:
    try:
        return parse_statement(written).text == parse_statement(named).text
    except StatementError:
        return written == named
