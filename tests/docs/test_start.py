"""docs/start.md, typed line by line into one shell: real processes on free ports, from nothing to a rollback.

COVEY_WALK=whole types `covey demo` too, which takes minutes; `make walk` does.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sysconfig
from pathlib import Path

import pytest
from programs import free_ports

pytestmark = pytest.mark.e2e

PROJECT = Path(__file__).resolve().parents[2]
PAGE = (PROJECT / "docs" / "start.md").read_text(encoding="utf-8")
PROGRAMS = Path(sysconfig.get_path("scripts"))
WRITTEN = ("7001", "7002", "7003", "9001", "9002", "9003", "18000")
IS_WHOLE = os.environ.get("COVEY_WALK") == "whole"
LONGEST_SECONDS = 900.0 if IS_WHOLE else 300.0
CONFIGURATION = """
[server]
data_directory = "journal"
listen = "127.0.0.1:{0}"
control_listen = "127.0.0.1:{1}"
metrics_listen = "127.0.0.1:{2}"

[controller]
control = "127.0.0.1:{1}"
replica = ["data=127.0.0.1:{0},metrics=http://127.0.0.1:{2}/metrics"]
metrics_listen = "127.0.0.1:{3}"
"""


def script(ports: dict[str, int]) -> str:
    """What the page types, with free ports; what is installed is not built again."""
    text = "\n".join(re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
    text = re.sub(r"^make demo\b", f"{PROGRAMS}/covey demo" if IS_WHOLE else ":", text, count=1, flags=re.M)
    text = text.replace(". .venv/bin/activate", f". {PROGRAMS}/activate", 1)
    for written, port in ports.items():
        text = text.replace(written, str(port))
    return f"set -eu\ntrap 'kill $(jobs -p)' EXIT\n{text}wait\ntrap - EXIT\n"


def walk(directory: Path) -> subprocess.CompletedProcess[str]:
    """Type all of it in a folder that looks like a clone."""
    ports = free_ports(len(WRITTEN) + 4)
    for folder in ("examples", "docs"):
        (directory / folder).symlink_to(PROJECT / folder)
    by_name = dict(zip(WRITTEN, ports, strict=False))
    plan = (PROJECT / "examples" / "foreign-service" / "first-plan.yaml").read_text()
    assert all(written in plan for written in ("7001", "7002", "9001", "9002"))
    own = ports[len(WRITTEN) :]
    (directory / "covey.toml").write_text(CONFIGURATION.format(*own))
    # The plan is copied first and then brought to the free ports, as the page's lines are.
    moved = "; ".join(f"s/{written}/{port}/" for written, port in by_name.items())
    typed = re.sub(r"^(cp .* \.)$", rf"\1\nsed -i '{moved}' first-plan.yaml", script(by_name), count=1, flags=re.M)
    environment = os.environ | {
        "COVEY_CONFIG": str(directory / "covey.toml"),
        "COVEY_DATA": f"127.0.0.1:{own[0]}",
        "COVEY_CONTROL": f"127.0.0.1:{own[1]}",
        "COLUMNS": "80",
    }
    shell = subprocess.Popen(
        ["bash", "-c", typed], cwd=directory, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        out, _ = shell.communicate(timeout=LONGEST_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(shell.pid, signal.SIGKILL)
        out, _ = shell.communicate()
        pytest.fail(f"it has no end:\n{out}")
    return subprocess.CompletedProcess(typed, shell.returncode, out)


def test_the_walk_ends_where_the_page_says(tmp_path: Path) -> None:
    done = walk(tmp_path)
    place = tmp_path / ".cache" / "start"
    logs = "\n".join(f"{log}\n{log.read_text()[-2000:]}" for log in place.glob("*.log"))
    assert done.returncode == 0, f"{done.stdout}\n{logs}"
    lines = done.stdout.splitlines()
    for said in (
        "column 'learner_id': there is no such column",
        "31,451 rows, 300 learners",
        "first-plan.yaml: 0 errors, 0 warnings",
        "exit status 3: 3 is rolled back",
    ):
        assert said in " ".join(line.strip() for line in lines), f"{said}\n{done.stdout}"
    # A watch that begins after the end tells the state alone.
    told = [found for line in lines if (found := re.match(r"\S+ \S+  (?:ended: )?(SUCCEEDED|ROLLED BACK)", line))]
    assert list(dict.fromkeys(found[1] for found in told)) == ["SUCCEEDED", "ROLLED BACK"], done.stdout
    shares = {"SUCCEEDED": "100 %", "ROLLED BACK": "0 %"}
    for found in told:
        assert re.findall(r"share read back as (\d+ %)", found.string) in ([], [shares[found[1]]])
    # Whether the controller has looked by then or not.
    assert re.search("needs the approval of engineering|engineering will be asked", done.stdout)
    assert re.search(r"^version 2: \d+$", (place / "calls.log").read_text(), re.M), "a good build gets everybody"
    assert "error_rate > 10 %" in (place / "postmortem.md").read_text()
    if IS_WHOLE:
        assert "SUCCEEDED" in done.stdout.partition("31,451 rows")[0]
