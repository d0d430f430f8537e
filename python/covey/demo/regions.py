"""The demonstration over several regions: waves, an outage that heals, a bad region, the report of the whole.

Every region is a server, a controller and callers of its own in a directory of its own. The coordinator reaches each
over a slow line (80, 120, 200 ms and so on), of which one is cut for a while.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from covey.client import CallFailed, Client
from covey.demo.link import Link
from covey.demo.script import LONGEST_SECONDS, sign
from covey.demo.setup import read_plan
from covey.demo.stack import Stack
from covey.demo.supervisor import Supervisor
from covey.fleet.coordinator import Coordinator, FleetLook
from covey.fleet.model import FleetState
from covey.fleet.spec import check_fleet
from covey.report.fleet import FleetReport, fleet_report
from covey.report.fleet_forms import write_fleet_html, write_fleet_markdown
from covey.rollout.findings import SpecError
from covey.rollout.spec import load_spec
from covey.rollout.units import duration_of
from covey.v1.fleet_pb2 import ON_REGION_HARM_ROLLBACK_REGION, FleetSpec, Region
from covey.v1.rollout_spec_pb2 import Criterion, RolloutSpec, Trigger

FLEET_PLAN = "fleet-plan.yaml"
NAMES = ("eu", "us", "ap", "sa", "af", "oc")
_ROUND_TRIPS_SECONDS = (0.08, 0.12, 0.2, 0.24, 0.16, 0.28)
_TURN_SECONDS = 0.5
_CALL_SECONDS = 3.0
_LEARNERS = 400
NO_REGION = "none"


@dataclass(frozen=True)
class RegionsOptions:
    """What a demonstration over regions is asked for.

    Attributes:
        directory: for data and logs, one folder per region.
        report_directory: where the report goes.
        count: regions, 2 to 6; the first is a wave of its own, the others go side by side.
        plan: a rollout spec for every region; None: the demo's own.
        faults: what is wrong with the candidate in the bad region.
        bad_region: which; "none": none.
        cut_seconds: how long the second region is out of reach; 0: never.
        rate: calls a second in every region.
        longest_seconds: after which it ends as it is.
    """

    directory: Path
    report_directory: Path
    count: int = 3
    plan: Path | None = None
    faults: Sequence[str] = ("error-rate=0.08",)
    bad_region: str = ""
    cut_seconds: float = 12.0
    rate: float = 100.0
    longest_seconds: float = LONGEST_SECONDS

    @property
    def names(self) -> tuple[str, ...]:
        """Of the regions."""
        return NAMES[: self.count]

    @property
    def bad(self) -> str:
        """Which region is bad: the last, unless another was named."""
        return self.bad_region or self.names[-1]


@dataclass
class RegionsResult:
    """How it ended.

    Attributes:
        report: of the whole.
        state: of the fleet.
        stable: the stable variant by region, as each server says.
        report_files: what was written.
        seconds: wall time of the whole demonstration.
    """

    report: FleetReport
    state: FleetState
    stable: dict[str, str] = field(default_factory=dict)
    report_files: list[Path] = field(default_factory=list)
    seconds: float = 0.0


def demo_fleet(plan: RolloutSpec, controls: dict[str, str]) -> FleetSpec:
    """The fleet of the demonstration: the first region alone, then the others; one may be rolled back."""
    fleet = FleetSpec(
        name="native-over-reference",
        description=plan.description,
        rollout=plan,
        regions=[
            Region(name=name, control=control, wave=1 if index == 0 else 2)
            for index, (name, control) in enumerate(controls.items())
        ],
        wave_done_in_phase=plan.phases[-1].name,
        wave_dwell=duration_of(1),
        on_region_harm=ON_REGION_HARM_ROLLBACK_REGION,
        tolerated_region_count=1,
    )
    fleet.global_gate.criteria.append(Criterion(statement="error_rate < 2 %", margin=0.0))
    fleet.global_gate.triggers.append(Trigger(statement="error_rate > 10 %", tolerance=0.0))
    errors = [finding for finding in check_fleet(fleet) if finding.level == "error"]
    if errors:
        raise SpecError(errors)
    return fleet


class RegionsDemo:
    """One demonstration; `run` may be called once.

    Args:
        options: what is asked for.
        say: told what happens, a line each.
        tell: told of every turn of the coordinator.
        between: called between two turns; what it raises ends the demonstration in order.
    """

    def __init__(
        self,
        options: RegionsOptions,
        say: Callable[[str], None],
        tell: Callable[[FleetLook], None],
        between: Callable[[], None] = lambda: None,
    ) -> None:
        self._options = options
        self._say = say
        self._tell = tell
        self._between = between
        self._stacks: dict[str, Stack] = {}
        self._links: dict[str, Link] = {}
        self._supervisors: list[Supervisor] = []
        self._cut_at: float | None = None
        self._healed = False

    def run(self) -> RegionsResult:
        """Runs everything and stops everything, also when it fails.

        Raises:
            ProcessError: a process could not be kept running.
            SpecError: the plan cannot be read; nothing was started.
            CallFailed: a call within a region failed for good.
        """
        begin = time.monotonic()
        options = self._options
        plan = load_spec(*read_plan(options.plan, FLEET_PLAN))
        demo_fleet(plan, {name: f"{name}:1" for name in options.names})
        with ExitStack() as stack:
            self._start(stack)
            fleet = demo_fleet(plan, {name: link.address for name, link in self._links.items()})
            coordinator = stack.enter_context(Coordinator(fleet, _far_client, lambda: datetime.now(UTC)))
            look = self._coordinate(coordinator, fleet)
            if self._cut_at is not None and not self._healed:
                self._heal()
                look = coordinator.turn()
            report = fleet_report(fleet, look.views, coordinator.journals, look.gate, look.decision, look.time)
            stable = {name: self._stable(name) for name in options.names}
        result = RegionsResult(report, look.decision.state, stable)
        result.report_files = _write(report, options.report_directory)
        result.seconds = time.monotonic() - begin
        return result

    def _start(self, stack: ExitStack) -> None:
        """Servers first, all at once; then what needs them."""
        from covey.generate import GenerationPlan, write_parquet

        options = self._options
        for name in options.names:
            directory = options.directory / name
            directory.mkdir(parents=True, exist_ok=True)
            supervisor = stack.enter_context(Supervisor(directory))
            self._supervisors.append(supervisor)
            faults = options.faults if name == options.bad else ()
            self._stacks[name] = Stack(supervisor, directory, faults=faults)
            self._stacks[name].launch_server()
        for index, (name, region) in enumerate(self._stacks.items()):
            directory = options.directory / name
            # Every region has learners of its own; nobody else ever hears of them.
            count = write_parquet(GenerationPlan(learner_count=_LEARNERS, seed=index), directory / "events.parquet")
            ports = region.await_server()
            region.start_controller()
            if options.rate > 0:
                region.start_load(
                    directory / "events.parquet",
                    rate=options.rate,
                    seconds=options.longest_seconds,
                    learners=_LEARNERS,
                    seed=index,
                )
            delay = _ROUND_TRIPS_SECONDS[index]
            self._links[name] = stack.enter_context(Link(ports.control_address, round_trip_seconds=delay))
            bad = f"; its candidate is made bad: {', '.join(options.faults)}" if name == options.bad else ""
            what = f"server, controller and {count:,} events of {_LEARNERS} learners, {delay * 1000:.0f} ms away"
            self._say(f"{name}: {what}{bad}")

    def _coordinate(self, coordinator: Coordinator, fleet: FleetSpec) -> FleetLook:
        """Turns of the coordinator, signatures of the regions' people, and the outage, until the fleet has ended."""
        deadline = time.monotonic() + self._options.longest_seconds
        while True:
            self._between()
            for supervisor in self._supervisors:
                for child in supervisor.check():
                    self._say(f"{child.name} died (status {child.exit_codes[-1]}) and was started again")
            look = coordinator.turn()
            self._tell(look)
            for name in self._options.names:
                self._sign(name, fleet)
            self._cut_and_heal(look)
            waits_for_outage = self._cut_at is not None and not self._healed
            if (look.decision.is_final and not waits_for_outage) or time.monotonic() > deadline:
                return look
            time.sleep(_TURN_SECONDS)

    def _sign(self, name: str, fleet: FleetSpec) -> None:
        """A region's people sign within their region, whether or not anybody outside reaches it."""
        with self._stacks[name].client("demo", timeout_seconds=_CALL_SECONDS) as client:
            try:
                sign(client, client.get_rollout(fleet.name))
            except CallFailed as failure:
                if not failure.is_unreachable and failure.code.name != "NOT_FOUND":
                    raise

    def _cut_and_heal(self, look: FleetLook) -> None:
        """The second region is cut off once its first phase has begun, and is back some time later."""
        if self._options.cut_seconds <= 0 or self._healed:
            return
        name = self._options.names[1]
        (view,) = (view for view in look.views if view.name == name)
        if self._cut_at is None and view.entered:
            self._links[name].cut()
            self._cut_at = time.monotonic()
            self._say(f"{name}: the line to it is cut; it goes on alone")
        elif self._cut_at is not None and time.monotonic() - self._cut_at >= self._options.cut_seconds:
            self._heal()

    def _heal(self) -> None:
        name = self._options.names[1]
        self._links[name].heal()
        self._healed = True
        self._say(f"{name}: the line to it is back")

    def _stable(self, name: str) -> str:
        with self._stacks[name].client("demo") as client:
            return client.get_server_info().stable_variant


def _far_client(region: Region) -> Client:
    return Client(control=region.control, actor="fleet", timeout_seconds=_CALL_SECONDS)


def _write(report: FleetReport, directory: Path) -> list[Path]:
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in (("fleet.html", write_fleet_html(report)), ("fleet.md", write_fleet_markdown(report))):
        path = directory / name
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths
