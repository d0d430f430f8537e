"""`covey demo --regions N`: what is said of it, and how it ends."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from covey.cli.connection import ExitCode
from covey.cli.fleet_view import print_turn
from covey.cli.output import CommandError, OutputFormat, print_data, print_text, print_wrapped
from covey.stop_signals import Interruptions

if TYPE_CHECKING:
    from covey.demo.regions import RegionsOptions, RegionsResult

_INTERRUPTED = 130


def run_regions(options: RegionsOptions, output: OutputFormat) -> int:
    """Runs the demonstration; its exit status."""
    from covey.client import CallFailed
    from covey.demo.regions import RegionsDemo
    from covey.demo.supervisor import ProcessError
    from covey.rollout.findings import SpecError

    said: set[str] = set()
    stream = sys.stdout if output is OutputFormat.table else sys.stderr
    try:
        with Interruptions() as interruptions:
            demo = RegionsDemo(
                options,
                lambda text: print_wrapped(text, 2, stream),
                lambda look: print_turn(look, said, stream),
                interruptions.check,
            )
            result = demo.run()
    except KeyboardInterrupt:
        print("covey demo: interrupted; everything is stopped", file=sys.stderr)  # noqa: T201
        return _INTERRUPTED
    except SpecError as error:
        raise CommandError(str(error), ExitCode.USAGE) from error
    except (ProcessError, CallFailed) as error:
        raise CommandError(str(error), ExitCode.FAILED) from error
    if output is OutputFormat.table:
        _conclude(result)
    else:
        print_data(_document(result), output)
    return _exit_code(options, result)


def _conclude(result: RegionsResult) -> None:
    report = result.report
    print_wrapped(f"\n{report.decision}: {report.sentence}", 2)
    for region in report.regions:
        stable = result.stable.get(region.name, "unknown")
        print_wrapped(f"{region.name}: {region.state}; stable variant {stable}; {region.why}", 2)
    for outage in report.outages:
        print_wrapped(f"{outage.region} was out of reach for {outage.seconds:.0f} s; meanwhile: {outage.meanwhile}", 2)
    for path in result.report_files:
        print_text(f"report: {path}")
    print_text(f"{result.seconds:.0f} s")


def _document(result: RegionsResult) -> dict[str, Any]:
    return {
        **result.report.data(),
        "stable_variants": result.stable,
        "report_files": [str(path) for path in result.report_files],
    }


def _exit_code(options: RegionsOptions, result: RegionsResult) -> int:
    """0 where every region ended as it should: the bad one on the baseline, the others on the candidate."""
    from covey.fleet.model import FleetState

    if result.state in {FleetState.ROLLED_BACK, FleetState.STOPPED, FleetState.ROLLING_BACK}:
        return ExitCode.ROLLED_BACK
    if result.state is not FleetState.SUCCEEDED:
        return ExitCode.HELD
    wrong = [
        name for name, stable in result.stable.items()
        if (stable == result.report.candidate) is (name == options.bad)
    ]  # fmt: skip
    return ExitCode.FAILED if wrong else ExitCode.OK
