"""`covey demo`: a whole rollout on this machine, with real processes, in some minutes."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from covey.cli.connection import ExitCode, plain
from covey.cli.output import CommandError, OutputFormat, OutputOption, print_data, print_text, print_wrapped, wrapped
from covey.stop_signals import Interruptions

if TYPE_CHECKING:
    from covey.demo.script import Audience, DemoOptions, DemoResult
    from covey.v1.journal_pb2 import Entry
    from covey.v1.rollouts_pb2 import Rollout

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_INTERRUPTED = 130
_LINE_SECONDS = 5.0
_ALONE_RATE = 200.0
# Of what follows the time of an event.
_INDENT = len("00:00:00Z  ")
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
    traffic: Annotated[
        float | None,
        typer.Option(
            min=0, max=2000, help="Calls a second, in every region; 0: none.", show_default="200; 100 a region"
        ),
    ] = None,
    plan: Annotated[Path | None, typer.Option(help="Another plan than the demo's own.")] = None,
    patience: Annotated[
        float | None,
        typer.Option(
            min=1,
            help="Seconds a phase may take beyond its time before the demo ends HOLDING; 60, or 10 without traffic.",
            show_default=False,
        ),
    ] = None,
    keep: Annotated[Path | None, typer.Option(help="Keeps data and logs in this new or empty folder.")] = None,
    report: Annotated[Path, typer.Option(help="Where the report goes.")] = Path("demo-output"),
    dashboard: Annotated[bool, typer.Option("--dashboard", help="Serves pages to watch it on, too.")] = False,
    regions: Annotated[
        int,
        typer.Option(
            min=1,
            max=6,
            help="So many regions, each with servers of its own: wave after wave, one is cut off for a while, the last "
            "is bad and rolled back.",
        ),
    ] = 1,
    bad_region: Annotated[
        str, typer.Option(help="With --regions: which one is bad; none: no region.", show_default="the last")
    ] = "",
    output: OutputOption = OutputFormat.table,
) -> None:
    """Roll the native engine out over the reference engine, in three phases, on real evidence.

    Exit code: 0 succeeded, 3 rolled back, 4 holding, 1 failed.
    """
    from covey.demo.script import DemoOptions

    if keep is not None and keep.exists() and any(keep.iterdir()):
        raise CommandError(f"--keep {keep}: the folder is not empty; name a new one", ExitCode.USAGE)
    _require_known(fault or ())
    _require_writable(report)
    with tempfile.TemporaryDirectory(prefix="covey-demo-") as temporary:
        if regions > 1:
            raise typer.Exit(
                _over_regions(
                    (keep or Path(temporary)).resolve(), report, regions, bad_region, plan, fault or (), traffic, output
                )
            )
        options = DemoOptions(
            directory=(keep or Path(temporary)).resolve(),
            report_directory=report,
            plan=plan,
            faults=tuple(fault or ()),
            rate=_ALONE_RATE if traffic is None else traffic,
            patience_seconds=patience if patience is not None else 10.0 if traffic == 0 else 60.0,
            dashboard=dashboard,
        )
        raise typer.Exit(_run(options, output))


def _over_regions(
    directory: Path,
    report: Path,
    count: int,
    bad_region: str,
    plan: Path | None,
    faults: Sequence[str],
    traffic: float | None,
    output: OutputFormat,
) -> int:
    from covey.cli.demo_regions import run_regions
    from covey.demo.regions import NO_REGION, RegionsOptions

    options = RegionsOptions(directory, report, count, plan, bad_region=bad_region)
    if bad_region and bad_region not in {*options.names, NO_REGION}:
        known = ", ".join((*options.names, NO_REGION))
        raise CommandError(f"--bad-region {bad_region}: expected one of {known}", ExitCode.USAGE)
    if faults:
        options = replace(options, faults=tuple(faults))
    if traffic is not None:
        options = replace(options, rate=traffic)
    return run_regions(options, output)


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


def _run(options: DemoOptions, output: OutputFormat) -> int:
    from covey.client import CallFailed
    from covey.demo.script import Demo
    from covey.demo.setup import SetupError
    from covey.demo.supervisor import ProcessError
    from covey.rollout.spec import SpecError

    if options.plan is None and output is OutputFormat.table:
        print_wrapped(_LESS_THAN_THE_DEFAULT)
    try:
        # SIGTERM and SIGHUP stop everything in order, as Ctrl-C does.
        with Interruptions() as interruptions, _audience(output) as audience:
            result = Demo(options, audience, interruptions.check).run()
    except KeyboardInterrupt:
        print("covey demo: interrupted; everything is stopped", file=sys.stderr)  # noqa: T201
        return _INTERRUPTED
    except SpecError as error:
        raise CommandError(str(error), ExitCode.USAGE) from error
    except (ProcessError, SetupError, CallFailed) as error:
        raise CommandError(str(error), ExitCode.FAILED) from error
    if output is OutputFormat.table:
        _conclude(result)
    else:
        print_data(_document(result), output)
    return _exit_code(result)


def _conclude(result: DemoResult) -> None:
    from covey.report import words
    from covey.rollout.explain import explain

    rollout = result.rollout
    state = "HOLDING" if result.held else words.state(rollout.state)
    print_wrapped(f"\n{state}: {words.clean(rollout.explanation)}", 2)
    for line in explain(rollout):
        print_wrapped(f"  {words.clean(line)}", 4)
    share = words.share(result.candidate_share_bp)
    print_wrapped(
        f"read back: stable variant {result.info.stable_variant}; share of {rollout.spec.candidate}: {share}", 2
    )
    if result.load:
        print_wrapped(f"load: {_load_line(result.load)}", 2)
    if result.server_restarts:
        print_text(f"the server died and was started again {result.server_restarts} times")
    for path in result.report_files:
        if path.suffix in {".html", ".md"}:
            print_text(f"report: {path}")
    print_text(f"{result.seconds:.0f} s")


def _document(result: DemoResult) -> dict[str, Any]:
    return {
        "rollout": plain(result.rollout),
        "holding": result.held,
        "stable_variant": result.info.stable_variant,
        "candidate_share_bp": result.candidate_share_bp,
        "load": result.load,
        "server_restarts": result.server_restarts,
        "report_files": [str(path) for path in result.report_files],
        "seconds": round(result.seconds, 1),
    }


def _exit_code(result: DemoResult) -> int:
    from covey.v1.rollouts_pb2 import Rollout

    rollout = result.rollout
    if result.held:
        return ExitCode.HELD
    if rollout.state == Rollout.STATE_SUCCEEDED:
        return ExitCode.OK if result.info.stable_variant == rollout.spec.candidate else ExitCode.FAILED
    return ExitCode.ROLLED_BACK if result.candidate_share_bp == 0 else ExitCode.FAILED


def _load_line(load: dict[str, Any]) -> str:
    codes = ", ".join(f"{count:,} {code}" for code, count in load.get("codes", {}).items())
    latency = ", ".join(f"{name} {value:.3g} ms" for name, value in load.get("latency_ms", {}).items())
    return f"{load.get('sent', 0):,} calls sent ({codes}); {latency}; {load.get('late', 0):,} left late"


class _Lines:
    """A line per event, and one every few seconds while nothing happens; beside data they go to stderr."""

    def __init__(self, stream: TextIO) -> None:
        self._said_at = 0.0
        self._stream = stream

    def say(self, text: str) -> None:
        print(wrapped(text, _INDENT), file=self._stream, flush=True)

    def show(self, rollout: Rollout, entries: Sequence[Entry]) -> None:
        from covey.report import words
        from covey.report.story import tell

        for event in tell(entries):
            self.say(words.clean(f"{event.time[11:]}  {event.text}"))
        now = time.monotonic()
        if now - self._said_at >= _LINE_SECONDS or entries:
            self._said_at = now
            self.say(" " * _INDENT + words.clean(_status_line(rollout)))


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
        from covey.cli.rollout_live import ShareHistory

        self._live = live
        self._history = ShareHistory()

    def say(self, text: str) -> None:
        from covey.cli.console import text as styled

        self._live.console.print(styled(text, "dim"))

    def show(self, rollout: Rollout, entries: Sequence[Entry]) -> None:
        from covey.cli.rollout_screen import screen
        from covey.report.story import tell

        for event in tell(entries):
            self.say(f"{event.time[11:]}  {event.text}")
        self._history.hear(entries)
        self._live.update(screen(rollout, datetime.now(UTC), history=self._history), refresh=True)


@contextmanager
def _audience(output: OutputFormat) -> Iterator[Audience]:
    if output is not OutputFormat.table or not sys.stdout.isatty():
        yield _Lines(sys.stdout if output is OutputFormat.table else sys.stderr)
        return
    from rich.live import Live

    from covey.cli.console import console

    with Live(console=console(), refresh_per_second=4, vertical_overflow="crop") as live:
        yield _Screen(live)
