"""`covey intervene plan --server`: what a server writes down is what a file would, in however many calls."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from docs.reading import PROJECT, commands
from programs import free_port
from server.running import ServedHere
from typed import run

from covey.client import Client
from covey.client.planned import playbook_message
from covey.interventions import Candidates, Outbox, Playbook, read_playbook
from covey_server.interventions.messages import playbook_of


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHere]:
    made = ServedHere(data_directory=tmp_path_factory.mktemp("planned") / "data")
    yield made
    made.stop()


@pytest.fixture
def page(tmp_path: Path, server: ServedHere, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The page's command with this server in it, in a folder with its playbook and scores of 60 learners."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(2)
    table = {
        "learner_id": [f"l{number}" for number in range(60)],
        "as_of": [datetime(2026, 1, 5, tzinfo=UTC)] * 60,
        "probability": random.random(60).tolist(),
        "reasons": [["silence", "counts", "gaps"][number % 3 :][:1] for number in range(60)],
        "variant": ["m@1:aa"] * 60,
    }
    pq.write_table(pa.table(table), "scores.parquet")
    Path("welcome-back.yaml").write_text((PROJECT / "examples" / "welcome-back.yaml").read_text())
    (command,) = (
        own.bare
        for own in commands(PROJECT / "docs" / "interventions.md")
        if " plan " in own.bare and "--server" in own.bare
    )
    return shlex.split(command.replace("127.0.0.1:50051", f"127.0.0.1:{server.data_port}"))[1:]


def test_a_server_writes_down_what_a_file_would(
    page: list[str], server: ServedHere, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Outbox(Path(":memory:"))
    candidates = Candidates.of_table(pq.read_table("scores.parquet"))
    found = box.plan(read_playbook(Path("welcome-back.yaml")), candidates)
    monkeypatch.setattr("covey.client.planned.MOST_SCORES", 7)
    with Client(data=f"127.0.0.1:{server.data_port}", timeout_seconds=60) as client:

        def waiting() -> dict[str, str]:
            return {own.key: own.body for own in client.list_intervention_actions(playbook="welcome-back")}

        status, dry, err = run(capsys, *page, "--dry-run", "--output", "json")
        assert (status, err, waiting()) == (0, "", {})
        status, out, err = run(capsys, *page)
        assert (status, err) == (0, "") and max(map(len, out.splitlines())) <= 80
        assert f"{found.chosen_count} of 60 learners chosen, {len(found.enrolments)} for the first time" in out
        assert f"{len(found.actions)} actions were planned." in out
        assert waiting() == {own.key: json.dumps(dict(own.body), sort_keys=True) for own in found.actions}
        counts = json.loads(dry)
        assert (counts["action_count"], counts["held_out_count"]) == (
            len(found.actions),
            found.held_out_count,
        ) and counts["is_dry_run"]
        _, again, _ = run(capsys, *page, "--output", "json")
        assert json.loads(again)["action_count"] == 0 and json.loads(again)["cooling_count"] == len(found.actions)
        assert len(waiting()) == len(found.actions) > 10
    box.close()
    text = Path("welcome-back.yaml").read_text()
    Path("welcome-back.yaml").write_text(text.replace("holdout_share: 0.2", "holdout_share: 0.3"))
    status, _, err = run(capsys, *page)
    assert status == 1 and "is not what it was when it was first used" in err
    # Also where nobody is likely enough to leave.
    Path("welcome-back.yaml").write_text(text.replace("min_probability: 0.2", "min_probability: 1"))
    assert run(capsys, *page)[0] == 1


def test_what_cannot_be_planned_is_refused(page: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for more, status, words in (
        (["--outbox", "o.sqlite"], 1, "expected one of --outbox FILE and --server HOST:PORT"),
        (["--timeout", "0"], 2, "--timeout"),
        (["--server", f"127.0.0.1:{free_port()}", "--timeout", "1s"], 5, "what to do"),
        (["--server", "nonsense"], 2, "address 'nonsense' has no port"),
    ):
        found, out, err = run(capsys, *page, *more)
        assert (found, out) == (status, "") and words in err
    assert "expected one of" in run(capsys, *page[:4])[2]
    Path("junk.parquet").write_text("no scores")
    status, _, err = run(capsys, *page[:3], "junk.parquet", *page[4:])
    assert status == 1 and "expected a Parquet or CSV file" in err
    text = Path("welcome-back.yaml").read_text().replace("template: we-miss-you", "day: 2026-01-05")
    Path("welcome-back.yaml").write_text(text)
    status, _, err = run(capsys, *page)
    assert status == 1 and "expected texts, finite numbers, lists and mappings" in err


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"reasons": ("silence",), "limit_per_learner": 7, "cool_down_days": 3, "holdout_share": 0.0},
        {
            "outcome_days": 7,
            "valid_days": 9,
            "parameters": {"days": 3, "rate": 0.5, "to": ["a", {"b": None}], "is": True},
        },
    ],
)
def test_a_playbook_on_the_wire_is_the_same_thing(more: dict[str, Any]) -> None:
    book = Playbook(**({"name": "book", "min_probability": 0.25, "action": "call"} | more))
    assert playbook_of(playbook_message(book)) == book and playbook_of(playbook_message(book)).digest == book.digest
