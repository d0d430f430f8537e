"""When the phases of a plan can begin, and who must agree, in lines for people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from covey.rollout.findings import Finding

if TYPE_CHECKING:
    from covey.rollout.calendars import Opening, Zone
    from covey.v1.rollout_spec_pb2 import ApprovalRule, RolloutSpec


def zone_findings(spec: RolloutSpec, now: datetime) -> list[Finding]:
    """What is wrong with the calendar's time zone: only a database of zones can say."""
    from covey.zones import zone_offsets

    try:
        zone_offsets(spec.calendar.time_zone, now)
    except ValueError as error:
        return [Finding("error", "calendar.time_zone", str(error))]
    return []


def begin_lines(spec: RolloutSpec, now: datetime) -> Iterator[str]:
    """When each phase can begin if the rollout starts now and each takes its hold; nothing where no date matters."""
    from covey.rollout.calendars import OpenHours, Zone, begins
    from covey.zones import zone_offsets

    zone = Zone.of(zone_offsets(spec.calendar.time_zone, now))
    hours = OpenHours.of(spec.calendar, zone)
    if hours.is_always_open and not any(phase.HasField("not_before") for phase in spec.phases):
        return
    yield f"Started now ({zone.local_text(now)}), with every phase as long as its hold, at the earliest:"
    for phase, opening in begins(spec, hours, now):
        yield f"  {phase} begins {_when(opening, zone)}"
    emergency = spec.calendar.emergency
    if emergency.roles:
        yield f"In spite of the calendar by: {rule_text(emergency)}"


def rule_text(rule: ApprovalRule) -> str:
    """engineering, 2 people of operations; each valid for 24 h."""
    from covey.report import words

    people = {quorum.role: quorum.people_count for quorum in rule.quorums}
    named = [f"{people[role]} people of {role}" if people.get(role, 1) > 1 else role for role in rule.roles]
    text = ", ".join(named)
    return f"{text}; each valid for {words.duration(rule.valid_for)}" if rule.HasField("valid_for") else text


def _when(opening: Opening, zone: Zone) -> str:
    if opening.at is None:
        return f"never: {opening.reason}"
    return zone.local_text(opening.at) + (f" ({opening.reason} until then)" if opening.reason else "")
