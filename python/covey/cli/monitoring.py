"""`covey monitoring`: what Prometheus and Grafana need to watch an installation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from covey.cli.connection import ExitCode, seconds
from covey.cli.output import CommandError, print_text, renamed

if TYPE_CHECKING:
    from covey.monitoring.objectives import Objectives

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

_File = Annotated[Path | None, typer.Option("--file", metavar="FILE", help="Written there (default: standard output).")]
# What it was called before, when `--output` was a file here and a form everywhere else.
_Formerly = Annotated[Path | None, typer.Option("--output", "-o", hidden=True)]
_Answered = Annotated[float, typer.Option("--objective", metavar="PERCENT", help="Requests that do not fail.")]
_Latency = Annotated[str, typer.Option(metavar="DURATION", help="What an answer may take.")]
_Fast = Annotated[float, typer.Option("--latency-objective", metavar="PERCENT", help="Answers within that time.")]
_Period = Annotated[float, typer.Option("--period-days", metavar="DAYS", help="Over which both hold.")]


@app.callback()
def monitoring() -> None:
    """Write alert rules for Prometheus and a dashboard for Grafana."""


@app.command()
def rules(
    file: _File = None,
    formerly: _Formerly = None,
    objective: _Answered = 99.9,
    latency: _Latency = "200ms",
    latency_objective: _Fast = 99.0,
    period_days: _Period = 30.0,
    job: Annotated[str, typer.Option(metavar="NAME", help="Scrape job of servers and controllers.")] = "covey",
    runbooks: Annotated[
        str, typer.Option(metavar="URL", help="Where docs/runbooks were published, for links in alerts.")
    ] = "docs/runbooks",
) -> None:
    """Write the recording and alert rules of Prometheus."""
    from covey.monitoring.rules import rules_text

    promise = _objectives(objective, latency, latency_objective, period_days)
    _write(lambda: rules_text(promise, job=job, runbooks=runbooks), file, formerly)


@app.command()
def dashboard(
    file: _File = None,
    formerly: _Formerly = None,
    objective: _Answered = 99.9,
    latency: _Latency = "200ms",
    latency_objective: _Fast = 99.0,
    period_days: _Period = 30.0,
) -> None:
    """Write the dashboard of Grafana; it uses series of the rules."""
    from covey.monitoring.dashboard import dashboard_text

    promise = _objectives(objective, latency, latency_objective, period_days)
    _write(lambda: dashboard_text(promise), file, formerly)


def _objectives(answered_percent: float, latency: str, fast_percent: float, period_days: float) -> Objectives:
    from covey.monitoring.objectives import Objectives

    for option, percent in (("--objective", answered_percent), ("--latency-objective", fast_percent)):
        if not 0 < percent < 100:
            raise CommandError(f"{option} is {percent:g}; expected a percentage such as 99.9", ExitCode.USAGE)
    try:
        latency_seconds = seconds(latency, "--latency").total_seconds()
        shares = round(answered_percent / 100, 12), round(fast_percent / 100, 12)
        return Objectives(*shares, latency_seconds, period_days)
    except ValueError as error:
        raise CommandError(str(error), ExitCode.USAGE) from error


def _write(text: Callable[[], str], file: Path | None, formerly: Path | None) -> None:
    if formerly is not None:
        renamed("--output", "--file")
    file = file or formerly
    if file is None:
        print_text(text().rstrip())
        return
    try:
        file.write_text(text(), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"--file {file}: {error.strerror}; choose another file") from error
