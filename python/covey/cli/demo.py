"""`covey demo`: a whole rollout on this machine, with real processes, in a minute or two."""

from __future__ import annotations

import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from covey.cli.connection import ExitCode
from covey.cli.output import CommandError, print_text

if TYPE_CHECKING:
    from covey.demo.script import Audience, DemoOptions, DemoResult
    from covey.v1.journal_pb2 import Entry
    from covey.v1.rollouts_pb2 import Rollout

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_INTERRUPTED = 130
_LINE_SECONDS = 5.0
_LESS_THAN_THE_DEFAULT = (
    "This plan asks for less than the default plan: showing 99.9 % availability takes 3,301 clean candidate calls, "
    "which a minute of this traffic does not have; the plan file has the arithmetic."
)


@app.command()
def demo(
    fault: Annotated[
        list[str] | None,
        typer.Option(
            help="Makes the candidate bad: error-rate=0.03, latency=300ms@0.05, latency-doubled, wrong-result=0.02, "
            "candidate-hangs, candidate-crashes. May be repeated."
        ),
    ] = None,
    traffic: Annotated[float, typer.Option(min=0, max=2000, help="Calls a second; 0: none.")] = 200.0,
    plan: Annotated[Path | None, typer.Option(help="Another plan than the demo's own.")] = None,
    patience: Annotated[
        float | None,
        typer.Option(
            min=1,
            help="Seconds a phase may take beyond its time before the demo ends as held; 60, or 10 without traffic.",
            show_default=False,
        ),
    ] = None,
    keep: Annotated[Path | None, typer.Option(help="Keeps data and logs in this new or empty folder.")] = None,
    report: Annotated[Path, typer.Option(help="Where the report goes.")] = Path("demo-output"),
) -> None:
    """Roll the native engine out over the reference engine, in three phases, on real evidence.

    Exit code: 0 succeeded, 3 rolled back, 4 held, 1 failed.
    """
    from covey.demo.script import DemoOptions

    if keep is not None and keep.exists() and any(keep.iterdir()):
        raise CommandError(f"--keep {keep}: the folder is not empty; name a new one", ExitCode.USAGE)
    _require_known(fault or ())
    _require_writable(report)
    with tempfile.TemporaryDirectory(prefix="covey-demo-") as temporary:
        options = DemoOptions(
            directory=(keep or Path(temporary)).resolve(),
            report_directory=report,
            plan=plan,
            faults=tuple(fault or ()),
            rate=traffic,
            patience_seconds=patience if patience is not None else 60.0 if traffic else 10.0,
        )
        raise typer.Exit(_run(options))


def _require_known(faults: Sequence[str]) -> None:
    """By the server's own parser, before it is started, and started again, with a fault that it refuses."""
    from covey_server.answering.faults import FaultError, load_plan

    try:
        load_plan(faults, enabled=True)
    except FaultError as error:
        raise CommandError(f"--fault: {error}", ExitCode.USAGE) from error


def _require_writable(folder: Path) -> None:
    """A minute of rollout whose report cannot be written would be a minute lost."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise CommandError(f"--report {folder}: {error.strerror}; name a folder that can be written") from error


def _run(options: DemoOptions) -> int:
    from covey.client import CallFailed
    from covey.demo.script import Demo
    from covey.demo.setup import SetupError
    from covey.demo.supervisor import ProcessError
    from covey.rollout.spec import SpecError

    if options.plan is None:
        print_text(_LESS_THAN_THE_DEFAULT)
    try:
        with _terminated_like_interrupted(), _audience() as audience:
            result = Demo(options, audience).run()
    except KeyboardInterrupt:
        print("covey demo: interrupted; everything is stopped", file=sys.stderr)  # noqa: T201
        return _INTERRUPTED
    except SpecError as error:
        raise CommandError(str(error), ExitCode.USAGE) from error
    except (ProcessError, SetupError, CallFailed) as error:
        raise CommandError(str(error), ExitCode.FAILED) from error
    return _conclude(result)


def _conclude(result: DemoResult) -> int:
    from covey.report import words
    from covey.rollout.explain import explain
    from covey.v1.rollouts_pb2 import Rollout

    rollout = result.rollout
    state = "HELD" if result.held else words.state(rollout.state)
    print_text(f"\n{state}: {rollout.explanation}")
    for line in explain(rollout):
        print_text(f"  {words.clean(line)}")
    share = words.share(result.candidate_share_bp)
    print_text(f"read back: stable variant {result.info.stable_variant}; share of {rollout.spec.candidate}: {share}")
    if result.load:
        print_text(f"load: {_load_line(result.load)}")
    if result.server_restarts:
        print_text(f"the server died and was started again {result.server_restarts} times")
    for path in result.report_files:
        if path.suffix in {".html", ".md"}:
            print_text(f"report: {path}")
    print_text(f"{result.seconds:.0f} s")
    if result.held:
        return ExitCode.HELD
    if rollout.state == Rollout.STATE_SUCCEEDED:
        return ExitCode.OK if result.info.stable_variant == rollout.spec.candidate else ExitCode.FAILED
    return ExitCode.ROLLED_BACK if result.candidate_share_bp == 0 else ExitCode.FAILED


def _load_line(load: dict[str, Any]) -> str:
    codes = ", ".join(f"{count:,} {code}" for code, count in load.get("codes", {}).items())
    latency = ", ".join(f"{name} {value:g} ms" for name, value in load.get("latency_ms", {}).items())
    return f"{load.get('sent', 0):,} calls sent ({codes}); {latency}; {load.get('late', 0):,} left late"


class _Lines:
    """A line per event, and one every few seconds while nothing happens."""

    def __init__(self) -> None:
        self._said_at = 0.0

    def say(self, text: str) -> None:
        print_text(text)
        sys.stdout.flush()

    def show(self, rollout: Rollout, entries: Sequence[Entry]) -> None:
        from covey.report import words
        from covey.report.story import tell

        for event in tell(entries):
            self.say(words.clean(f"{event.time[11:]}  {event.text}"))
        now = time.monotonic()
        if now - self._said_at >= _LINE_SECONDS or entries:
            self._said_at = now
            self.say(words.clean(f"          {_status_line(rollout)}"))


def _status_line(rollout: Rollout) -> str:
    from collections import Counter

    from covey.report import words
    from covey.v1 import evidence_pb2

    elapsed = rollout.phase_elapsed.ToTimedelta().total_seconds()
    hold = rollout.phase_hold.ToTimedelta().total_seconds()
    criteria = [verdict for verdict in rollout.verdicts if verdict.role == evidence_pb2.Verdict.ROLE_CRITERION]
    results = Counter(words.result(verdict) for verdict in criteria)
    judged = ", ".join(f"{count} {result}" for result, count in sorted(results.items())) or "nothing judged yet"
    calls = max((verdict.trial_count for verdict in criteria), default=0)
    return (
        f"{words.state(rollout.state)} {rollout.phase} {elapsed:.0f}/{hold:.0f} s, "
        f"{words.share(rollout.candidate_weight_bp)} to the candidate, {calls:,} of its requests judged; {judged}"
    )


class _Screen:
    """The operator's status screen, live, with the story scrolling by above it."""

    def __init__(self, live: Any) -> None:
        self._live = live

    def say(self, text: str) -> None:
        from covey.cli.console import text as styled

        self._live.console.print(styled(text, "dim"))

    def show(self, rollout: Rollout, entries: Sequence[Entry]) -> None:
        from covey.cli.rollout_screen import screen
        from covey.report.story import tell

        for event in tell(entries):
            self.say(f"{event.time[11:]}  {event.text}")
        self._live.update(screen(rollout, datetime.now(UTC)), refresh=True)


@contextmanager
def _audience() -> Iterator[Audience]:
    if not sys.stdout.isatty():
        yield _Lines()
        return
    from rich.live import Live

    from covey.cli.console import console

    with Live(console=console(), refresh_per_second=4, vertical_overflow="crop") as live:
        yield _Screen(live)


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM and SIGHUP stop everything in order, as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
