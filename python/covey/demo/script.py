"""The demonstration from start to end: prepare, roll out, approve, watch, verify, report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from covey.archetypes import ARCHETYPES
from covey.client import CallFailed, Client
from covey.demo.learners import read_event_table
from covey.demo.setup import discover, read_plan, store_events
from covey.demo.stack import Stack
from covey.demo.supervisor import Supervisor
from covey.report import build_report
from covey.report.advice import next_approval_phase
from covey.rollout.spec import load_spec
from covey.v1 import analyzer_pb2, cohorts_pb2, journal_pb2
from covey.v1.rollout_spec_pb2 import RolloutSpec
from covey.v1.rollouts_pb2 import Rollout

ROLLOUT_ID = "native-over-reference"
_POLL_SECONDS = 0.25
_EVERYBODY_BP = 10_000
# A call of the watch waits no longer than this for a server that died: it is the watch that starts it again.
_WATCH_SECONDS = 1.0
LONGEST_SECONDS = 600.0
TERMINAL = frozenset({Rollout.STATE_SUCCEEDED, Rollout.STATE_ROLLED_BACK, Rollout.STATE_ABORTED})


class Audience(Protocol):
    """Whom the demonstration tells what happens."""

    def say(self, text: str) -> None:
        """One line of the story."""
        ...

    def show(self, rollout: Rollout, entries: Sequence[journal_pb2.Entry]) -> None:
        """The rollout now, with the journal's entries since the call before."""
        ...


@dataclass(frozen=True)
class DemoOptions:
    """What a demonstration is asked for.

    Attributes:
        directory: for data and logs of the processes.
        report_directory: where the report goes; None: no report.
        plan: a rollout spec; None: the demo's own.
        faults: what is wrong with the candidate, as `covey-server --fault` takes it.
        rate: calls a second; 0: none.
        patience_seconds: how long a phase may go on beyond its hold before the demonstration ends as held.
        learner_count: generated learners.
        seed: of the generator and of the arrivals.
        dashboard: whether pages to watch it on are served too.
    """

    directory: Path
    report_directory: Path | None
    plan: Path | None = None
    faults: Sequence[str] = ()
    rate: float = 200.0
    patience_seconds: float = 60.0
    learner_count: int = 1000
    seed: int = 0
    dashboard: bool = False


@dataclass
class DemoResult:
    """How it ended.

    Attributes:
        rollout: with its last verdicts.
        held: it was still holding when patience ended.
        info: what the server says is live at the end.
        report_files: what was written.
        load: the load generator's summary; empty without load.
        server_restarts: deaths of the server that were answered.
        seconds: wall time of the whole demonstration.
    """

    rollout: Rollout
    held: bool
    info: analyzer_pb2.GetServerInfoResponse
    report_files: list[Path] = field(default_factory=list)
    load: dict[str, object] = field(default_factory=dict)
    server_restarts: int = 0
    seconds: float = 0.0

    @property
    def candidate_share_bp(self) -> int:
        """Basis points of learners that the candidate serves, as the server says it routes."""
        split = self.info.active_split
        if split.rollout == self.rollout.name:
            return split.candidate_weight_bp
        return _EVERYBODY_BP if self.info.stable_variant == self.rollout.spec.candidate else 0


class Demo:
    """One demonstration; `run` may be called once.

    Args:
        options: what is asked for.
        audience: told what happens.
        between: called between two looks at the rollout; what it raises ends the demonstration in order.
    """

    def __init__(self, options: DemoOptions, audience: Audience, between: Callable[[], None] = lambda: None) -> None:
        self._options = options
        self._audience = audience
        self._between = between
        self.stack: Stack | None = None

    def run(self) -> DemoResult:
        """Runs everything and stops everything, also when it fails.

        Raises:
            ProcessError: a process could not be kept running.
            SpecError: the plan cannot be read; nothing was started.
            SetupError: data or cohorts could not be made.
            CallFailed: a call to the server failed for good.
        """
        begin = time.monotonic()
        options = self._options
        spec = load_spec(*read_plan(options.plan))
        options.directory.mkdir(parents=True, exist_ok=True)
        with Supervisor(options.directory) as supervisor:
            stack = self.stack = Stack(supervisor, options.directory, faults=options.faults)
            events = prepare(stack, options, self._audience)
            if options.dashboard:
                self._audience.say(f"dashboard: {stack.start_dashboard()} (log in by any name)")
            with stack.client("demo") as client:
                name = begin_rollout(stack, client, spec, options, events, self._audience)
            with stack.client("demo", timeout_seconds=_WATCH_SECONDS) as client:
                rollout, held = self._watch(supervisor, client, name)
            if stack.load is not None:
                supervisor.stop(stack.load)
            with stack.client("demo") as client:
                journal = list(client.list_entries(name))
                result = DemoResult(rollout, held, client.get_server_info(), load=stack.load_summary())
            assert stack.server is not None
            result.server_restarts = stack.server.restart_count
        # The report needs the journal and nothing else; it is written when every process is gone.
        if options.report_directory is not None:
            result.report_files = write_report(journal, options.report_directory)
        result.seconds = time.monotonic() - begin
        return result

    def _watch(self, supervisor: Supervisor, client: Client, name: str) -> tuple[Rollout, bool]:
        """Follows the rollout until it ends (False) or patience does (True)."""
        seen = 0
        phase, phase_since = "", time.monotonic()
        deadline = time.monotonic() + LONGEST_SECONDS
        while True:
            self._between()
            for child in supervisor.check():
                self._audience.say(f"{child.name} died (status {child.exit_codes[-1]}) and was started again")
            try:
                rollout = client.get_rollout(name)
                entries = _news(client, rollout, seen)
                seen = max(seen, rollout.last_sequence)
                self._audience.show(rollout, entries)
                sign(client, rollout)
            except CallFailed as failure:
                # Somebody may die while we ask; the supervisor above sees to that.
                if not failure.is_unreachable or time.monotonic() > deadline:
                    raise
                continue
            now = time.monotonic()
            if rollout.state in TERMINAL:
                return rollout, False
            if rollout.phase != phase:
                phase, phase_since = rollout.phase, now
            hold = rollout.phase_hold.ToTimedelta().total_seconds()
            if now - phase_since > hold + self._options.patience_seconds or now > deadline:
                return rollout, True
            time.sleep(_POLL_SECONDS)


def prepare(stack: Stack, options: DemoOptions, audience: Audience) -> Path:
    """Starts the server and generates events meanwhile; returns their file."""
    from covey.generate import GenerationPlan, write_parquet

    stack.launch_server()
    events = options.directory / "events.parquet"
    count = write_parquet(GenerationPlan(learner_count=options.learner_count, seed=options.seed), events)
    audience.say(f"generated {count:,} events of {options.learner_count:,} learners")
    ports = stack.await_server()
    audience.say(f"server ready: data {ports.data_address}, control {ports.control_address}, {ports.metrics_url}")
    if options.faults:
        audience.say(f"the candidate is made bad on purpose: {', '.join(options.faults)}")
    return events


def begin_rollout(
    stack: Stack, client: Client, spec: RolloutSpec, options: DemoOptions, events: Path, audience: Audience
) -> str:
    """Stores events, finds cohorts, starts controller, load and rollout; returns the rollout's name."""
    stored = store_events(client, read_event_table(events))
    model = discover(client)
    sizes = ", ".join(f"{_archetype(cohort)} {cohort.learner_count}" for cohort in model.cohorts)
    audience.say(f"stored {stored:,} events; a job found {len(model.cohorts)} cohorts of learners: {sizes}")
    stack.start_controller()
    name = client.create_rollout(ROLLOUT_ID, spec).name
    if options.rate > 0:
        stack.start_load(
            events, rate=options.rate, seconds=LONGEST_SECONDS, learners=options.learner_count, seed=options.seed
        )
    client.start_rollout(name, reason="the demonstration")
    audience.say(f"{name} started: {spec.candidate} over {spec.baseline}, {options.rate:g} calls a second")
    return name


def sign(client: Client, rollout: Rollout) -> None:
    """The scripted operator: one person per role signs what the rollout waits for, each by a call of their own."""
    for role in rollout.missing_roles:
        with Client(
            control=client.control, data=client.data, actor=f"demo-{role}", timeout_seconds=client.timeout_seconds
        ) as person:
            phase = next_approval_phase(rollout)
            person.approve_rollout(rollout.name, phase, role, reason="scripted approval of the demonstration")


def write_report(journal: Sequence[journal_pb2.Entry], directory: Path) -> list[Path]:
    """Writes the report of a journal in all its forms; returns the files."""
    report = build_report(journal)
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for file_name, content in report.files():
        path = directory / file_name
        path.write_text(content, encoding="utf-8")
        written.append(path)
    return written


def _archetype(cohort: cohorts_pb2.Cohort) -> str:
    # As the analysis writes them; the enum has them in another order and in capitals.
    name = cohorts_pb2.Archetype.Name(cohort.archetype).removeprefix("ARCHETYPE_").replace("_", " ").lower()
    return next((known for known in ARCHETYPES if known.replace("-", " ").lower() == name), name)


def _news(client: Client, rollout: Rollout, seen: int) -> list[journal_pb2.Entry]:
    if rollout.last_sequence <= seen:
        return []
    entries = client.list_entries(rollout.name, omit_ticks=True)
    return [entry for entry in entries if seen < entry.sequence <= rollout.last_sequence]
