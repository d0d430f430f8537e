"""What tests measure, told at the end of a run, whichever process measured it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable

import pytest

Finding = Callable[[str], None]
"""Takes one finding in words, such as "500 kills: 0 lost"; the fixture `finding` gives it."""


def is_whole() -> bool:
    """Whether this is `make faults`, which holds what is measured to what is promised and skips nothing."""
    return bool(os.environ.get("COVEY_FAULTS_WHOLE"))


def told(reporter: pytest.TerminalReporter) -> list[str]:
    """Every finding, after the test that made it."""
    ended = [report for outcome in ("passed", "failed") for report in reporter.stats.get(outcome, [])]
    return [
        f"{report.nodeid}: {text}"
        for report in ended
        if report.when == "call"
        for name, text in report.user_properties
        if name == "finding"
    ]


def counted(reporter: pytest.TerminalReporter) -> list[str]:
    """How many tests of each file passed, of how many."""
    passed, failed = (
        Counter(report.nodeid.partition("::")[0] for report in reporter.stats.get(outcome, []) if report.when == "call")
        for outcome in ("passed", "failed")
    )
    return [f"{file}: {passed[file]} of {passed[file] + failed[file]}" for file in sorted(passed | failed)]
