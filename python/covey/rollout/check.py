"""What is wrong with a spec before it starts."""

from __future__ import annotations

import re
from collections import Counter
from typing import Protocol

from covey.rollout.calendars import calendar_findings
from covey.rollout.findings import Finding
from covey.rollout.ranges import out_of_range
from covey.rollout.ratios import comparison_findings, ledger_findings
from covey.rollout.statement import Kind, StatementError, parse_statement, statement_texts
from covey.rollout.traffic import is_foreign
from covey.rollout.traffic_findings import traffic_findings, traffic_warnings
from covey.rollout.units import basis_points, format_duration, format_share, seconds_of
from covey.v1.rollout_spec_pb2 import SEGMENT_SOURCE_STABLE_COHORT, ApprovalRule, Phase, RolloutSpec, Trigger

NAME = re.compile(r"[a-z][a-z0-9-]{0,62}\Z")
VARIANT = re.compile(r"(variants/)?[a-z][a-z0-9-]{0,62}\Z")
LARGEST_ALPHA = 0.5
# With fewer looks than this a phase's gates hardly see anything happen.
FEWEST_TICKS = 5
MOST_SIGNERS = 20


class _Add(Protocol):
    def __call__(self, path: str, message: str, *, warn: bool = False) -> None: ...


def check_spec(spec: RolloutSpec) -> list[Finding]:
    """Every finding about a spec, in the order of its fields; errors make it unusable, warnings do not."""
    findings: list[Finding] = []

    def add(path: str, message: str, *, warn: bool = False) -> None:
        findings.append(Finding("warning" if warn else "error", path, message))

    for path, message in out_of_range(spec):
        add(path, message)
    if findings:
        return findings
    _check_subject(spec, add)
    for path, message in traffic_findings(spec):
        add(path, message)
    for path, message in traffic_warnings(spec):
        add(path, message, warn=True)
    _check_intervals(spec, add)
    if not spec.phases:
        add("phases", "there is no phase; a rollout needs at least one")
    names = [phase.name for phase in spec.phases]
    for index, phase in enumerate(spec.phases):
        _check_phase(spec, phase, index, names, add)
    for index, trigger in enumerate(spec.triggers):
        _check_trigger(spec, trigger, f"triggers[{index}]", add)
    _check_doubles([trigger.statement for trigger in spec.triggers], "triggers", add)
    if seconds_of(spec.on_call.escalate_after) < 0:
        add("on_call.escalate_after", "expected a duration of 0 or more, such as 15m")
    _check_rule(spec.calendar.emergency, "calendar.emergency", add)
    for path, message in (*comparison_findings(spec), *calendar_findings(spec)):
        add(path, message)
    _check_ledger(spec, findings, add)
    _check_segments(spec, add)
    if spec.phases and not spec.triggers:
        add("triggers", "without triggers nothing but a person rolls back before a phase ends", warn=True)
    if spec.phases and spec.phases[-1].traffic_share < 1 and not spec.dry_run:
        path = f"phases[{len(spec.phases) - 1}].traffic_share"
        share = format_share(spec.phases[-1].traffic_share)
        add(path, f"the last phase shows the candidate to {share} of the learners, and success gives it all", warn=True)
    return findings


def _check_ledger(spec: RolloutSpec, findings: list[Finding], add: _Add) -> None:
    """What the statements may spend together, where all of them can be read."""
    if any(finding.level == "error" for finding in findings):
        return
    from covey.rollout.spec import with_defaults  # which checks the specs that it reads

    for path, message in ledger_findings(with_defaults(spec)):
        add(path, message)


def _check_segments(spec: RolloutSpec, add: _Add) -> None:
    """Cohorts are known of this service's learners only, and segments that nothing looks at protect nobody."""
    if spec.segment_source != SEGMENT_SOURCE_STABLE_COHORT:
        return
    if is_foreign(spec):
        add("segment_source", "a foreign service has no cohorts; leave it out")
        return
    if not any(text.lstrip().startswith("segments") for text in statement_texts(spec)):
        add(
            "segment_source",
            "no statement is about segments; add one such as 'segments(engagement) < 5 %'",
            warn=True,
        )


def _check_subject(spec: RolloutSpec, add: _Add) -> None:
    if not spec.target:
        add("target", "it is missing; expected what is rolled out, such as 'analyzer'")
    for field in () if is_foreign(spec) else ("baseline", "candidate"):
        name = getattr(spec, field)
        if not name:
            add(
                field,
                f"it is missing; expected a variant, such as '{'reference' if field == 'baseline' else 'native'}'",
            )
        elif not VARIANT.match(name):
            add(field, f"'{name}' is no variant; expected variants/ and 1 to 63 of a-z, 0-9 and -")
    if spec.baseline and spec.baseline.removeprefix("variants/") == spec.candidate.removeprefix("variants/"):
        add("candidate", f"it is the baseline, {spec.baseline}; there is nothing to roll out")
    if spec.HasField("shadow_share") and not 0 <= spec.shadow_share <= 1:
        add("shadow_share", f"{format_share(spec.shadow_share)} lies outside 0 to 100 %")


def _check_intervals(spec: RolloutSpec, add: _Add) -> None:
    for field in ("tick_interval", "soak_tick_interval", "probe_interval", "metrics_grace", "outcome_window"):
        if spec.HasField(field) and seconds_of(getattr(spec, field)) <= 0:
            add(field, "expected a duration above 0, such as 30s")


def _check_phase(spec: RolloutSpec, phase: Phase, index: int, names: list[str], add: _Add) -> None:
    path = f"phases[{index}]"
    if not NAME.match(phase.name):
        add(f"{path}.name", f"'{phase.name}' is no name; expected 1 to 63 of a-z, 0-9 and -, beginning with a letter")
    elif names.index(phase.name) < index:
        add(f"{path}.name", f"'{phase.name}' is the name of an earlier phase too; give each its own")
    try:
        basis_points(phase.traffic_share)
    except ValueError as error:
        add(f"{path}.traffic_share", str(error))
    if phase.traffic_share == 0 and not spec.dry_run:
        add(f"{path}.traffic_share", "it is 0 %: nobody gets the candidate, so nothing can be shown; expected more")
    if index and phase.traffic_share < spec.phases[index - 1].traffic_share:
        before = format_share(spec.phases[index - 1].traffic_share)
        add(f"{path}.traffic_share", f"it falls from {before} to {format_share(phase.traffic_share)}", warn=True)
    _check_times(spec, phase, path, add)
    for number, criterion in enumerate(phase.criteria):
        inner = f"{path}.criteria[{number}]"
        _check_statement(criterion.statement, inner, True, add)
        _check_alpha(criterion.HasField("alpha"), criterion.alpha, inner, add)
        if criterion.defer and criterion.defer not in names[index + 1 :]:
            later = ", ".join(names[index + 1 :]) or "none"
            add(f"{inner}.defer", f"'{criterion.defer}' is no later phase; later phases: {later}")
        if criterion.WhichOneof("on_insufficient") == "accept_by" and not NAME.match(criterion.accept_by):
            add(f"{inner}.accept_by", f"'{criterion.accept_by}' is no role; expected 1 to 63 of a-z, 0-9 and -")
    _check_doubles([criterion.statement for criterion in phase.criteria], f"{path}.criteria", add)
    if not any(not criterion.report_only for criterion in phase.criteria):
        add(path, "no criterion decides: the phase passes by time alone", warn=True)
    _check_approvals(phase.approvals, index, f"{path}.approvals", add)


def _check_times(spec: RolloutSpec, phase: Phase, path: str, add: _Add) -> None:
    hold, max_hold = seconds_of(phase.hold), seconds_of(phase.max_hold)
    if hold < 0 or (hold == 0 and not phase.soak):
        add(f"{path}.hold", "expected a duration above 0, such as 2h: without time there is no evidence")
    if phase.HasField("max_hold") and max_hold < hold:
        add(f"{path}.max_hold", f"{format_duration(max_hold)} is shorter than the hold of {format_duration(hold)}")
    interval = spec.soak_tick_interval if phase.soak else spec.tick_interval
    interval_seconds = seconds_of(interval) or (300.0 if phase.soak else 30.0)
    if 0 < hold < FEWEST_TICKS * interval_seconds:
        looks = f"fewer than {FEWEST_TICKS} looks, one every {format_duration(interval_seconds)}"
        add(f"{path}.hold", f"{format_duration(hold)} gives {looks}; shorten the tick interval", warn=True)
    offsets = [seconds_of(checkpoint) for checkpoint in phase.checkpoints]
    for number, offset in enumerate(offsets):
        place = f"{path}.checkpoints[{number}]"
        if offset <= 0 or (number and offset <= offsets[number - 1]):
            add(place, "checkpoints are above 0 and rise")
        elif offset > hold:
            add(place, f"{format_duration(offset)} comes after the hold of {format_duration(hold)}", warn=True)


def _check_trigger(spec: RolloutSpec, trigger: Trigger, path: str, add: _Add) -> None:
    _check_statement(trigger.statement, path, False, add)
    _check_alpha(trigger.HasField("alpha"), trigger.alpha, path, add)
    sustained = seconds_of(trigger.sustained)
    if sustained < 0:
        add(f"{path}.sustained", "expected a duration of 0 or more")
    if trigger.literal == Trigger.LITERAL_ROLLBACK and sustained == 0:
        add(
            f"{path}.literal",
            "a literal rollback needs the time that the estimate must stand beyond the limit: sustained",
        )
    elif trigger.literal == Trigger.LITERAL_ROLLBACK:
        add(f"{path}.literal", "a literal rule that rolls back has no bound on false alarms", warn=True)
    if trigger.HasField("literal_minimum_count") and trigger.literal_minimum_count < 1:
        add(f"{path}.literal_minimum_count", "expected 1 or more")


def _check_statement(text: str, path: str, criterion: bool, add: _Add) -> None:
    place = f"{path}.statement"
    try:
        statement = parse_statement(text)
    except StatementError as error:
        add(place, str(error))
        return
    if statement.claims_good != criterion:
        role, other = ("criterion", "trigger") if criterion else ("trigger", "criterion")
        add(place, f"'{text}' is what a {other} says; turn the comparison round for a {role}")
    elif statement.kind is Kind.SEGMENTS and not criterion:
        add(place, "segments are judged at the end of a phase, as a criterion; they are no trigger")


def _check_alpha(given: bool, alpha: float, path: str, add: _Add) -> None:
    if given and not 0 < alpha <= LARGEST_ALPHA:
        add(f"{path}.alpha", f"{format_share(alpha)} is no error rate; expected above 0 and at most 50 %")


def _check_doubles(texts: list[str], path: str, add: _Add) -> None:
    for text, count in Counter(map(_canonical, texts)).items():
        if count > 1:
            add(path, f"'{text}' is there {count} times; keep one")


def _canonical(text: str) -> str:
    try:
        return parse_statement(text).text
    except StatementError:
        return text


def _check_approvals(rule: ApprovalRule, index: int, path: str, add: _Add) -> None:
    _check_rule(rule, path, add)
    if rule.unless_every_criterion_passes and index == 0:
        message = "the first phase has none before it, so its approvals are always asked"
        add(f"{path}.unless_every_criterion_passes", message, warn=True)


def _check_rule(rule: ApprovalRule, path: str, add: _Add) -> None:
    for number, role in enumerate(rule.roles):
        if not NAME.match(role):
            add(f"{path}.roles[{number}]", f"'{role}' is no role; expected 1 to 63 of a-z, 0-9 and -")
        elif role in rule.roles[:number]:
            add(f"{path}.roles[{number}]", f"'{role}' is there twice; keep one")
    if rule.HasField("valid_for") and seconds_of(rule.valid_for) <= 0:
        add(f"{path}.valid_for", "expected a duration above 0, such as 24h")
    asked = [quorum.role for quorum in rule.quorums]
    for number, quorum in enumerate(rule.quorums):
        if quorum.role not in rule.roles:
            known = ", ".join(rule.roles) or "none"
            add(f"{path}.quorums[{number}].role", f"'{quorum.role}' is none of the roles that are asked: {known}")
        elif quorum.role in asked[:number]:
            add(f"{path}.quorums[{number}].role", f"'{quorum.role}' is there twice; keep one")
        if not 1 <= quorum.people_count <= MOST_SIGNERS:
            add(f"{path}.quorums[{number}].people_count", f"expected 1 to {MOST_SIGNERS} people")
