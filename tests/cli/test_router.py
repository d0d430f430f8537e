"""`covey router haproxy`: a configuration that HAProxy takes, or a reason why there is none."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from programs import program

from covey.cli import main

HAPROXY = "haproxy: {routers: ['unix:/tmp/covey.sock', '127.0.0.1:9999'], header: x-user}"
PLAN = f"""
target: echo-service.v2
baseline: 127.0.0.1:7001,127.0.0.1:7003
candidate: 127.0.0.1:7002
traffic:
  {HAPROXY}
metrics:
  scrape:
    baseline_urls: ['http://127.0.0.1:9001/']
    candidate_urls: ['http://127.0.0.1:9002/']
phases:
  - name: canary
    traffic_share: 10 %
    hold: 5m
    criteria: [error_rate < 1 %]
triggers: [error_rate > 2 %]
"""


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["router", "haproxy", *arguments])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "echo.yaml"
    path.write_text(PLAN)
    return path


@pytest.mark.parametrize("control", [(), ("--control", "127.0.0.1:9999")])
def test_haproxy_takes_what_is_written(
    capsys: pytest.CaptureFixture[str], plan: Path, tmp_path: Path, control: tuple[str, ...]
) -> None:
    code, text, _ = run(capsys, str(plan), "--listen", "127.0.0.1:8080", *control)
    assert code == 0
    assert "req.hdr(x-user),xxh32(0),mod(10000)" in text
    assert "server s1 127.0.0.1:7003 proto h2" in text
    assert ("bind 127.0.0.1:9999" if control else "bind unix@/tmp/covey.sock mode 600") in text
    haproxy = program("haproxy")
    (tmp_path / "haproxy.cfg").write_text(text)
    checked = subprocess.run([haproxy, "-c", "-f", str(tmp_path / "haproxy.cfg")], capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr.decode()
    assert b"WARNING" not in checked.stderr


def test_clients_of_xds_get_their_bootstrap(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["router", "xds-bootstrap", "--control-plane", "127.0.0.1:18000", "--node", "shop-7"])
    assert not ended.value.code
    bootstrap = json.loads(capsys.readouterr().out)
    assert bootstrap["node"] == {"id": "shop-7"}
    assert bootstrap["xds_servers"][0]["server_uri"] == "127.0.0.1:18000"
    with pytest.raises(SystemExit) as ended:
        main(["router", "xds-bootstrap", "--control-plane", "nowhere"])
    assert ended.value.code == 1
    assert "no HOST:PORT" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "arguments", "said"),
    [
        (("target: echo", "target: echo"), ("--listen", "nowhere"), "no HOST:PORT"),
        (("target: echo", "target: echo"), ("--listen", "a:1", "--control", "unix:/x"), "none of the plan's routers"),
        ((HAPROXY, "xds: {}"), ("--listen", "a:1"), "not split by HAProxy"),
        (("127.0.0.1:7002", "nowhere"), ("--listen", "a:1"), "cannot be used"),
    ],
)
def test_what_cannot_be_written_says_why(
    capsys: pytest.CaptureFixture[str], plan: Path, change: tuple[str, str], arguments: tuple[str, ...], said: str
) -> None:
    plan.write_text(PLAN.replace(*change))
    code, out, err = run(capsys, str(plan), *arguments)
    assert code == 1
    assert said in err
    assert not out
