"""Alerts in a real Alertmanager, which takes the same transition told twice for one."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from programs import free_port, program
from waiting import wait_until

from covey.webhook import SinkError
from covey_controller.outbox.message import Message
from covey_controller.outbox.sinks import Alertmanager

CONFIG = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    alertmanager = program("prometheus-alertmanager", "alertmanager")
    address = f"127.0.0.1:{free_port()}"
    (tmp_path / "config.yml").write_text(CONFIG)
    arguments = [f"--config.file={tmp_path / 'config.yml'}", f"--storage.path={tmp_path / 'data'}"]
    arguments += [f"--web.listen-address={address}", "--cluster.listen-address="]
    process = subprocess.Popen([alertmanager, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert wait_until(lambda: is_ready(f"http://{address}/-/ready"), 60)
        yield f"http://{address}"
    finally:
        process.kill()
        process.wait(30)


def is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def message(sequence: int, *, page: bool = True) -> Message:
    return Message(
        dedupe_key=f"rollouts/x/{sequence}/alertmanager",
        rollout="rollouts/x",
        sequence=sequence,
        event="held",
        text="held: phase canary: metrics are missing",
        is_page=page,
        on_call=("ada",),
        actor="one",
        time=datetime.now(UTC).replace(microsecond=0),
    )


def test_a_transition_is_one_alert_however_often_it_is_told(url: str) -> None:
    sink = Alertmanager(url)
    first = message(7)
    for one in (first, first, message(9, page=False), first):
        sink.send(one)

    def alerts() -> list[dict[str, dict[str, str]]]:
        with urllib.request.urlopen(f"{url}/api/v2/alerts", timeout=5) as answer:
            found: list[dict[str, dict[str, str]]] = json.loads(answer.read())
            return found

    assert wait_until(lambda: len(alerts()) == 2, 30)
    by_sequence = {alert["labels"]["sequence"]: alert for alert in alerts()}
    held = by_sequence["7"]
    assert held["labels"] == {
        "alertname": "CoveyRollout", "rollout": "x", "event": "held", "sequence": "7", "severity": "page",
    }  # fmt: skip
    assert held["annotations"]["summary"] == "held: phase canary: metrics are missing"
    assert held["annotations"]["dedupe_key"] == "rollouts/x/7/alertmanager"
    assert by_sequence["9"]["labels"]["severity"] == "info"


def test_an_alertmanager_that_is_away_is_a_failure(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(SinkError, match=r"127\.0\.0\.1"):
        Alertmanager(address).send(message(1))
