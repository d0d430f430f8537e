"""When phases may begin: weekly windows in local time, around changes of the clock and of the year."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey.rollout import commands
from covey.rollout.calendars import DAYS, OpenHours, Zone, begins, parse_weekly
from covey.rollout.check import check_spec
from covey.rollout.commands import CommandRefused
from covey.rollout.findings import SpecError
from covey.rollout.replay import replay
from covey.rollout.spec import load_spec
from covey.rollout.state import IllegalEntry, State, fold
from covey.v1 import journal_pb2 as j
from covey.v1.rollout_spec_pb2 import Calendar, Freeze
from covey.zones import zone_offsets

from .world import SHORT_PLAN, START, Journal, World, in_phase, plan

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia")


def hours(zone: str = "", business: tuple[str, ...] = (), freezes: tuple[Freeze, ...] = ()) -> OpenHours:
    return OpenHours.of(
        Calendar(time_zone=zone, business_hours=business, freezes=freezes), Zone.of(zone_offsets(zone, SINCE))
    )


def local(zone: str, *parts: int, fold: int = 0) -> datetime:
    return datetime(*parts, tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)  # type: ignore[misc, arg-type]


def dated(name: str, start: datetime, end: datetime) -> Freeze:
    freeze = Freeze(name=name)
    freeze.start_time.FromDatetime(start)
    freeze.end_time.FromDatetime(end)
    return freeze


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("mon 00:00-24:00", [(0, 86_400)]),
        ("mon-tue 09:00-17:00", [(32_400, 61_200), (118_800, 147_600)]),
        ("Sun 22:00-02:00", [(597_600, 604_800), (0, 7_200)]),
        ("fri 16:00 - mon 08:00", [(403_200, 604_800), (0, 28_800)]),
        ("sat-mon 10:00-11:00", [(468_000, 471_600), (554_400, 558_000), (36_000, 39_600)]),
        ("wed 08:00 - wed 08:00", [(201_600, 604_800), (0, 201_600)]),
    ],
)
def test_stretches_of_a_week(text: str, spans: list[tuple[int, int]]) -> None:
    assert parse_weekly(text) == spans


@pytest.mark.parametrize("text", ["", "monday 9-17", "mon 25:00-26:00", "mon 09:60-10:00", "09:00-17:00", "mon"])
def test_what_is_no_stretch_of_a_week(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_weekly(text)


def test_business_hours_are_local_on_both_sides_of_a_change_of_the_clock() -> None:
    open_hours = hours("Europe/Berlin", ("mon-fri 09:00-17:00",))
    # Friday evening before the clock goes forward on Sunday 29 March, and before it goes back on 25 October.
    for friday, monday in (((2026, 3, 27, 18), (2026, 3, 30, 9)), ((2026, 10, 23, 18), (2026, 10, 26, 9))):
        found = open_hours.opening(local("Europe/Berlin", *friday))
        assert found.at == local("Europe/Berlin", *monday)
        assert found.reason == "outside of business hours"
    assert open_hours.zone.local_text(local("Europe/Berlin", 2026, 3, 30, 9)) == "Mon 2026-03-30 09:00+02:00"


def test_a_freeze_over_the_hour_that_comes_twice() -> None:
    open_hours = hours("Europe/Berlin", freezes=(Freeze(name="backup", weekly="sun 02:00-02:30"),))
    first, second = (local("Europe/Berlin", 2026, 10, 25, 2, 10, fold=fold) for fold in (0, 1))
    assert second - first == timedelta(hours=1)
    assert open_hours.closed_by(first) == open_hours.closed_by(second) == "freeze 'backup'"
    assert open_hours.opening(first).at == first + timedelta(minutes=20)
    assert open_hours.opening(second).at == second + timedelta(minutes=20)


def test_a_window_in_the_hour_that_does_not_come() -> None:
    open_hours = hours("Europe/Berlin", ("sun 02:00-03:00",))
    saturday = local("Europe/Berlin", 2026, 3, 28, 12)
    assert open_hours.opening(saturday).at == local("Europe/Berlin", 2026, 4, 5, 2), "a week later"


def test_a_freeze_over_the_end_of_the_year_and_one_that_overlaps_it() -> None:
    berlin = "Europe/Berlin"
    freezes = (
        dated("year end", local(berlin, 2026, 12, 18, 12), local(berlin, 2027, 1, 2)),
        dated("audit", local(berlin, 2026, 12, 31), local(berlin, 2027, 1, 4, 12)),
    )
    open_hours = hours(berlin, ("mon-fri 09:00-17:00",), freezes)
    assert open_hours.opening(local(berlin, 2026, 12, 18, 11)).reason == ""
    found = open_hours.opening(local(berlin, 2026, 12, 18, 12))
    assert (found.reason, found.at) == ("freeze 'year end'", local(berlin, 2027, 1, 4, 12))


_MOMENTS = st.integers(0, 95).map(lambda quarter: f"{quarter // 4:02}:{quarter % 4 * 15:02}")
_WEEKLY = st.tuples(st.sampled_from(DAYS), _MOMENTS, st.sampled_from(DAYS), _MOMENTS).map(
    lambda parts: "{} {} - {} {}".format(*parts)
)
_INSTANTS = st.integers(0, 2 * 365 * 96).map(lambda quarter: SINCE + timedelta(minutes=15 * quarter))


@st.composite
def calendars(draw: st.DrawFn) -> OpenHours:
    freezes = [Freeze(name=f"w{i}", weekly=text) for i, text in enumerate(draw(st.lists(_WEEKLY, max_size=2)))]
    for number, begin in enumerate(draw(st.lists(_INSTANTS, max_size=3))):
        length = timedelta(hours=draw(st.integers(1, 400)))
        freezes.append(dated(f"d{number}", begin, begin + length))
    return hours(draw(st.sampled_from(ZONES)), tuple(draw(st.lists(_WEEKLY, max_size=2))), tuple(freezes))


def asked_the_long_way(open_hours: OpenHours, zone: ZoneInfo, at: datetime) -> bool:
    """Whether it is open, with the standard library's own local time."""
    there = at.astimezone(zone)
    second = there.weekday() * 86_400 + there.hour * 3600 + there.minute * 60 + there.second
    frozen = any(begin <= at < end for _, begin, end in open_hours.freezes)
    frozen |= any(first <= second < last for _, (first, last) in open_hours.weekly_freezes)
    return not frozen and (not open_hours.hours or any(a <= second < b for a, b in open_hours.hours))


@settings(max_examples=150)
@given(calendars(), _INSTANTS)
def test_the_opening_is_the_first_open_instant(open_hours: OpenHours, at: datetime) -> None:
    zone = next(name for name in ZONES if Zone.of(zone_offsets(name, SINCE)) == open_hours.zone)
    found = open_hours.opening(at).at
    if found is None:
        week = [at + timedelta(minutes=15 * n) for n in range(8 * 96)]
        assert not any(asked_the_long_way(open_hours, ZoneInfo(zone), instant) for instant in week)
        return
    assert asked_the_long_way(open_hours, ZoneInfo(zone), found)
    steps = min(int((found - at) / timedelta(minutes=15)), 4000)
    before = [at + timedelta(minutes=15 * n) for n in range(steps) if at + timedelta(minutes=15 * n) < found]
    assert not any(asked_the_long_way(open_hours, ZoneInfo(zone), instant) for instant in before)
    assert open_hours.opening(found).at == found
    assert (open_hours.opening(at).reason == "") == (found == at)


@pytest.mark.parametrize("zone", ZONES)
def test_offsets_are_those_of_the_database(zone: str) -> None:
    kept = Zone.of(zone_offsets(zone, SINCE))
    for hour in range(0, 3 * 365 * 24, 7):
        at = SINCE + timedelta(hours=hour)
        assert kept.offset(at) == at.astimezone(ZoneInfo(zone)).utcoffset()


def test_an_unknown_zone_is_named_with_its_neighbour() -> None:
    with pytest.raises(ValueError, match=r"'Europe/Berlim' is no time zone.*Europe/Berlin"):
        zone_offsets("Europe/Berlim", SINCE)
    with pytest.raises(SpecError, match="has no known offsets"):
        commands.create("rollouts/x", "u", plan(SHORT_PLAN + "calendar: {time_zone: Europe/Berlin}\n"))


@pytest.mark.parametrize(
    ("calendar", "path"),
    [
        ("{business_hours: [mon-fri 9-17]}", "calendar.business_hours[0]"),
        ("{freezes: [{weekly: mon 09:00-10:00}]}", "calendar.freezes[0].name"),
        ("{freezes: [{name: x}]}", "calendar.freezes[0]"),
        ("{freezes: [{name: x, start_time: 2026-01-01T00:00:00Z}]}", "calendar.freezes[0]"),
        (
            "{freezes: [{name: x, start_time: 2026-01-02T00:00:00Z, end_time: 2026-01-01T00:00:00Z}]}",
            "calendar.freezes[0].end_time",
        ),
        ("{business_hours: [mon 09:00-10:00], freezes: [{name: x, weekly: mon 08:00-11:00}]}", "calendar"),
        (
            "{emergency: {roles: [operations], quorums: [{role: x, people_count: 1}]}}",
            "calendar.emergency.quorums[0].role",
        ),
    ],
)
def test_calendars_that_nobody_can_mean(calendar: str, path: str) -> None:
    with pytest.raises(SpecError) as refused:
        load_spec(SHORT_PLAN + f"calendar: {calendar}\n", "plan.yaml")
    assert [finding.path for finding in refused.value.findings] == [path]


# In the rollout. START is a Monday, 08:00 UTC.

EVENING = """
calendar:
  time_zone: Europe/Berlin
  business_hours: [mon-fri 09:00-17:00]
  freezes: [{name: review, start_time: 2026-05-04T08:00:10Z, end_time: 2026-05-04T10:00:00Z}]
  emergency: {roles: [operations, engineering], quorums: [{role: operations, people_count: 2}]}
"""


class CalendarJournal(Journal):
    """A journal that begins with the offsets of its zone, as a server writes it."""

    def __init__(self, text: str) -> None:
        spec = plan(text)
        self.now = START
        self.entries = []
        self.effective_after = timedelta(seconds=1)
        self._state = None
        offsets = zone_offsets(spec.calendar.time_zone, START)
        self.append(commands.create("rollouts/test", "uid-1", spec, offsets))


def world(text: str = SHORT_PLAN + EVENING, *, approved: bool = True) -> World:
    journal = CalendarJournal(text)
    journal.command(commands.start)
    if approved:
        journal.approve("canary", "operations")
    return World(journal, requests_per_second=2000.0)


def waiting() -> World:
    """The canary is proven, and the review keeps the next phase from beginning."""
    made = world()
    made.run(lambda state: state.waits_for_calendar)
    return made


def test_a_phase_waits_for_the_calendar_and_says_until_when() -> None:
    made = waiting()
    state = made.journal.state
    assert (state.state, state.phase) == (State.STATE_HOLDING, "canary")
    assert state.explanation == (
        "phase 'rollout' waits for the calendar until Mon 2026-05-04 12:00+02:00: freeze 'review'"
    )
    held = made.journal.entries[-1].held
    assert held.calendar_open_time.ToDatetime(tzinfo=UTC) == datetime(2026, 5, 4, 10, tzinfo=UTC)
    for _ in range(200):
        made.look()
    assert made.journal.kinds().count("held") == 1, "it is said once"
    assert made.journal.state.phase_open_seconds == state.phase_open_seconds, "max_hold does not run meanwhile"
    made.journal.now = datetime(2026, 5, 4, 10, tzinfo=UTC)
    made.run(in_phase("rollout"))
    assert made.journal.refold() == made.journal.state
    assert [e.SerializeToString() for e in replay(made.journal.entries)] == [
        e.SerializeToString() for e in made.journal.entries
    ]


def test_without_its_calendar_the_same_plan_does_not_wait() -> None:
    made = world(SHORT_PLAN)
    made.run(in_phase("rollout"))
    assert made.journal.now < START + timedelta(minutes=2)


def test_the_first_phase_waits_too_and_the_picture_says_so() -> None:
    from covey.rollout.resource import to_resource

    made = world(SHORT_PLAN + EVENING.replace("09:00-17:00", "11:00-17:00"))
    made.look()
    assert made.journal.state.state == State.STATE_SCHEDULED
    shown = to_resource(made.journal.state)
    wait = "phase 'canary' waits for the calendar until Mon 2026-05-04 12:00+02:00: outside of business hours"
    assert shown.calendar_wait == wait
    assert shown.explanation == (
        f"{wait}; operations and engineering may override it in an emergency; 0 of 2 people of operations have signed"
    )


def test_a_phase_with_every_approval_says_that_the_calendar_keeps_it() -> None:
    from covey.report import advice
    from covey.rollout.resource import to_resource

    made = world(SHORT_PLAN + EVENING.replace("09:00-17:00", "11:00-17:00"), approved=False)
    made.look()
    awaiting = to_resource(made.journal.state)
    assert awaiting.state == State.STATE_AWAITING_APPROVAL
    assert not awaiting.calendar_wait, "people are asked first"
    made.journal.approve("canary", "operations")
    shown = to_resource(made.journal.state)
    assert shown.state == State.STATE_AWAITING_APPROVAL
    assert "waits for the calendar until Mon 2026-05-04 12:00+02:00" in shown.explanation
    step = advice.what_next(shown, made.journal.now)
    assert "waits for the calendar until Mon 2026-05-04 12:00+02:00" in step.sentence
    assert step.command == (
        'covey rollout approve test --phase canary --role operations --role engineering --emergency --reason "..."'
    )
    for actor, role in (("olga", "operations"), ("otto", "operations"), ("edda", "engineering")):
        override = commands.approve(
            made.journal.state, made.journal.now, phase="canary", role=role, reason="the fix",
            overrides_calendar=True, actor=actor,
        )  # fmt: skip
        made.journal.append(override, actor=actor)
    assert not to_resource(made.journal.state).calendar_wait


def test_a_hold_for_the_calendar_says_who_may_override_it_and_who_has() -> None:
    from covey.report import advice
    from covey.rollout.resource import to_resource

    made = waiting()
    override = commands.approve(
        made.journal.state, made.journal.now, phase="rollout", role="operations", reason="the fix",
        overrides_calendar=True, actor="olga",
    )  # fmt: skip
    made.journal.append(override, actor="olga")
    shown = to_resource(made.journal.state)
    assert shown.explanation.endswith(
        "freeze 'review'; operations and engineering may override it in an emergency; "
        "1 of 2 people of operations have signed (olga)"
    )
    assert (
        "--phase rollout --role operations --role engineering --emergency"
        in advice.what_next(shown, made.journal.now).command
    )


@pytest.mark.parametrize("cause", ["trigger", "abort", "incident", "silence"])
def test_no_calendar_delays_a_rollback(cause: str) -> None:
    made = waiting()
    if cause == "trigger":
        made.error_rate = 0.5
    elif cause == "silence":
        made.probes_answered = False
    elif cause == "incident":
        made.journal.command(commands.report_incident, incident_id="i1", critical=True, description="fire")
    else:
        made.journal.command(commands.abort, reason="no")
    made.run(lambda state: state.state == State.STATE_ROLLING_BACK, most_ticks=20)
    assert made.journal.state.candidate_weight_bp == 0


def test_an_emergency_needs_its_own_quorum_and_a_reason_and_is_recorded() -> None:
    made = waiting()
    journal = made.journal

    def sign(actor: str, role: str, reason: str = "the fix must go out") -> None:
        arguments = {"phase": "rollout", "role": role, "reason": reason, "actor": actor, "overrides_calendar": True}
        journal.append(commands.approve(journal.state, journal.now, **arguments), actor=actor)  # type: ignore[arg-type]

    with pytest.raises(CommandRefused, match="needs its reason"):
        sign("olga", "operations", " ")
    with pytest.raises(CommandRefused, match="its roles are operations, engineering"):
        sign("fay", "finance")
    sign("olga", "operations")
    with pytest.raises(CommandRefused, match="olga signed phase 'rollout' as operations already"):
        sign("olga", "engineering")
    sign("edda", "engineering")
    made.look()
    assert journal.state.waits_for_calendar, "one of two people of operations"
    sign("otto", "operations")
    made.look()
    entered = journal.entries[-1].phase_entered
    assert entered.phase == "rollout"
    assert entered.overridden_calendar == (
        "freeze 'review' at Mon 2026-05-04 10:00+02:00, by olga (operations), otto (operations), edda (engineering)"
    )
    assert fold(journal.entries) == journal.state


def test_a_signature_for_the_phase_is_none_for_its_calendar() -> None:
    made = waiting()
    for role in ("operations", "engineering"):
        with_role = {"phase": "rollout", "role": "operations", "actor": f"{role}-1"}
        made.journal.append(commands.approve(made.journal.state, made.journal.now, **with_role), actor=f"{role}-1")  # type: ignore[arg-type]
    made.look()
    assert made.journal.state.waits_for_calendar


def test_a_plan_without_an_emergency_is_overridden_by_nobody() -> None:
    made = world(SHORT_PLAN)
    with pytest.raises(CommandRefused, match="the plan lets nobody override it"):
        made.journal.command(
            commands.approve, phase="rollout", role="operations", reason="now", overrides_calendar=True
        )


def test_a_journal_that_lacks_its_offsets_is_refused() -> None:
    entries = waiting().journal.entries
    created = j.Entry()
    created.CopyFrom(entries[0])
    created.created.ClearField("zone_offsets")
    with pytest.raises(IllegalEntry, match="the offsets of Europe/Berlin are missing"):
        fold([created])


def test_when_each_phase_can_begin() -> None:
    text = SHORT_PLAN.replace("hold: 20s", "hold: 6h") + EVENING
    spec = load_spec(text, "plan.yaml")
    assert not [finding for finding in check_spec(spec) if finding.level == "error"]
    found = begins(spec, OpenHours.of(spec.calendar, Zone.of(zone_offsets("Europe/Berlin", START))), START)
    there = timezone(timedelta(hours=2))
    assert [(phase, opening.at, opening.reason) for phase, opening in found] == [
        ("canary", START, ""),
        ("rollout", datetime(2026, 5, 4, 16, tzinfo=there), ""),
    ]
    late = begins(
        spec, OpenHours.of(spec.calendar, Zone.of(zone_offsets("Europe/Berlin", START))), START + timedelta(hours=3)
    )
    assert [opening.reason for _, opening in late] == ["", "outside of business hours"]
    assert late[1][1].at == datetime(2026, 5, 5, 9, tzinfo=there)
