"""What the end-to-end tests share: the command line as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

SHORT_PLAN = Path(__file__).with_name("short-plan.yaml")
COVEY = Path(sysconfig.get_path("scripts")) / "covey"


def run_demo(directory: Path, *arguments: str, seconds: float = 150.0) -> subprocess.CompletedProcess[str]:
    """`covey demo` as people start it, its report in `directory`/report and its logs in `directory`/kept."""
    command = [str(COVEY), "demo", "--keep", str(directory / "kept"), "--report", str(directory / "report"), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    print(result.stdout)
    print(result.stderr)
    return result


def report_of(directory: Path) -> dict[str, Any]:
    """The report's JSON."""
    report = json.loads((directory / "report" / "report.json").read_text(encoding="utf-8"))
    assert isinstance(report, dict)
    return report


def processes_of(directory: Path) -> list[str]:
    """Command lines of the processes that name a directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(directory) in line and path.parent.name != str(os.getpid()):
            found.append(line)
    return found
