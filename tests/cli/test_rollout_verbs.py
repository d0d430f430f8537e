"""Every verb of `covey rollout` against a real control port; every exit code."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from covey.cli import main
from covey.v1.rollouts_pb2 import AcquireLeaseRequest, Rollout
from covey.v1.rollouts_pb2_grpc import RolloutServiceStub

Verb = Callable[..., Any]


def test_the_life_of_a_rollout(covey: Verb, plane: Any, started: Verb) -> None:
    controller = started(ticks=3)
    shown = covey("status", "native")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("native  RUNNING  phase canary (1 of 3)")
    assert "10 % of learners to variants/native" in shown.out
    assert "engineering (edda), operations (otto)" in shown.out
    assert covey("status", "rollouts/native").out.splitlines()[0] == shown.out.splitlines()[0]
    controller.tick("native", 80)
    shown = covey("status", "native", "--exit-code")
    assert shown.code == 0
    assert "SUCCEEDED" in shown.out
    assert "covey rollout report native" in shown.out
    watched = covey("watch", "native")
    assert watched.code == 0
    assert "SUCCEEDED rollout, 100 % of learners" in watched.out


def test_a_bad_candidate_exits_with_3(covey: Verb, started: Verb) -> None:
    controller = started(error_rate=lambda elapsed: 0.06)
    assert controller.tick("native", 60).state == Rollout.STATE_ROLLED_BACK
    for arguments in (("watch", "native"), ("status", "native", "--exit-code"), ("explain", "native", "--exit-code")):
        ran = covey(*arguments)
        assert ran.code == 3
        assert "error_rate > 1.5 %" in ran.out
    assert "SHOWN" in covey("status", "native").out


def test_a_candidate_without_traffic_is_held_with_4(covey: Verb, started: Verb) -> None:
    started(ticks=14, requests_per_second=0.0)
    held = covey("status", "native", "--exit-code")
    assert held.code == 4
    assert "HOLDING" in held.out
    assert "needs any traffic at all" in held.out
    assert covey("status", "native").code == 0
    assert covey("watch", "native", "--until-held").code == 4
    assert covey("watch", "native", "--for", "300ms").code == 4
    explained = covey("explain", "native", "--exit-code")
    assert explained.code == 4
    assert len(explained.out.splitlines()) >= 8
    assert "criterion INSUFFICIENT: error_rate < 1 %" in explained.out
    assert "next: it waits for evidence by itself" in explained.out


def test_pause_and_resume(covey: Verb, started: Verb) -> None:
    started(ticks=2)
    paused = covey("pause", "native", "--reason", "lunch")
    assert paused.code == 0
    assert "covey rollout resume native" in paused.out
    assert covey("status", "native", "--exit-code").code == 4
    assert "PAUSED" in covey("status", "native").out
    again = covey("pause", "native")
    assert again.code == 1
    assert "paused already" in again.err
    assert covey("resume", "native", "--reason", "fed").code == 0


def test_abort_takes_the_share_away_at_once(covey: Verb, plane: Any, started: Verb) -> None:
    started(ticks=3)
    assert covey("abort", "native").code == 2
    empty = covey("abort", "native", "--reason", " ")
    assert empty.code == 2
    assert "say why" in empty.err
    aborted = covey("abort", "native", "--reason", "checkout is slow", actor="grace")
    assert aborted.code == 0
    assert "ROLLING BACK" in aborted.out
    assert "0 % of learners to the candidate" in aborted.out
    assert plane.client.get_rollout("native").candidate_weight_bp == 0
    plane.controller().tick("native", 2)
    assert covey("status", "native", "--exit-code").code == 3
    told = covey("history", "native").out
    assert "rollback, the candidate's share is 0 at once" in told
    assert "by grace: checkout is slow" in told


def test_promote_needs_the_signatures(covey: Verb, started: Verb) -> None:
    started(ticks=5)
    assert covey("promote", "native").code == 2
    refused = covey("promote", "native", "--reason", "I know better")
    assert refused.code == 1
    assert "needs the approval of phase 'ramp' by engineering, operations" in refused.err
    both = covey("approve", "native", "--phase", "ramp", "--role", "engineering", "--role", "operations", actor="edda")
    assert both.code == 1
    assert "edda signed phase 'ramp' as engineering already" in both.err
    assert "verdicts:" in both.out
    assert covey("approve", "native", "--phase", "ramp", "--role", "operations", actor="otto").code == 0
    assert covey("promote", "native", "--reason", "I know better").code == 0
    assert "promoted by hand, overriding" in covey("history", "native").out


def test_promote_and_abort_ask_on_a_terminal(covey: Verb, started: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    started(ticks=3)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    questions = list[str]()

    def no(question: str) -> bool:
        questions.append(question)
        return False

    monkeypatch.setattr("typer.confirm", no)
    for verb in ("abort", "promote"):
        refused = covey(verb, "native", "--reason", "r")
        assert refused.code == 1
        assert "nothing was done" in refused.err
    assert len(questions) == 2
    assert covey("abort", "native", "--reason", "r", "--yes").code == 0
    assert len(questions) == 2


def test_deny_and_revoke(covey: Verb, plane: Any) -> None:
    covey("create", str(plane.plan), "--name", "n2")
    covey("start", "n2")
    plane.controller().tick("n2", 1)
    waiting = covey("status", "n2", "--exit-code")
    assert waiting.code == 4
    assert "AWAITING APPROVAL" in waiting.out
    command = " ".join(waiting.out.replace("\n", " ").split())
    assert "covey rollout approve n2 --phase canary --role engineering" in command
    denied = covey("deny", "n2", "--role", "operations", "--reason", "freeze", actor="oz")
    assert denied.code == 0
    assert "denied by operations (oz): freeze" in denied.out
    covey("approve", "n2", "--role", "engineering")
    assert covey("revoke", "n2", "--role", "engineering", "--reason", "misread").code == 0
    assert covey("revoke", "n2", "--role", "engineering", "--reason", "misread").code == 1
    unknown = covey("approve", "n2", "--role", "astrology")
    assert unknown.code == 1
    assert "engineering, operations" in unknown.err


def test_postpone(covey: Verb, plane: Any) -> None:
    covey("create", str(plane.plan))
    reason = ("--reason", "release freeze")
    assert covey("postpone", "native", "canary", "--not-before", "2030-01-01T00:00Z", *reason).code == 0
    assert covey("postpone", "native", "canary", "--not-before", "+2h", *reason).code == 0
    for wrong in ("tomorrow", "2030-01-01", "+soon", "+0s"):
        refused = covey("postpone", "native", "canary", "--not-before", wrong, *reason)
        assert refused.code == 2
        assert "--not-before" in refused.err
    assert covey("postpone", "native", "nowhere", "--not-before", "+2h", *reason).code == 1


def test_incidents(covey: Verb, started: Verb) -> None:
    controller = started(ticks=3)
    assert covey("incident", "native", "INC-1").code == 2
    assert covey("incident", "native", "INC-1", "--description", "slow", "--resolve").code == 2
    opened = covey("incident", "native", "INC-1", "--description", "checkout is slow")
    assert opened.code == 0
    assert "INC-1: checkout is slow" in covey("status", "native").out
    assert covey("incident", "native", "INC-1", "--resolve", "--reason", "fixed").code == 0
    covey("incident", "native", "INC-2", "--description", "down", "--critical")
    assert "covey rollout incident native INC-2 --resolve" in covey("status", "native").out
    controller.tick("native", 1)
    assert covey("status", "native", "--exit-code").code == 3


def test_list(covey: Verb, plane: Any, started: Verb) -> None:
    assert "no rollouts" in covey("list").out
    started(ticks=1)
    covey("create", str(plane.plan), "--name", "second")
    covey("abort", "second", "--reason", "no")
    rows = covey("list").out
    assert "native" in rows
    assert "second" in rows
    assert "second" not in covey("list", "--active").out
    assert {rollout["name"] for rollout in json.loads(covey("list", "-o", "json").out)} == {
        "rollouts/native", "rollouts/second",
    }  # fmt: skip


def test_wrong_usage_is_2(covey: Verb, plane: Any) -> None:
    assert covey("report").code == 2
    assert covey("report", "x", "--journal", "y").code == 2
    assert covey("status", "jobs/x").code == 2
    assert covey("status").code == 2
    assert covey("no-such-verb").code == 2
    assert covey("status", "x", timeout="soon").code == 2
    assert covey("status", "x", timeout="0").code == 2
    assert covey("status", "x", "--cert", "c.pem").code == 2
    assert covey("status", "x", "--output", "xml").code == 2


def test_failures_say_what_to_do(covey: Verb, plane: Any) -> None:
    missing = covey("status", "ghost")
    assert missing.code == 1
    assert "'rollouts/ghost' does not exist" in missing.err
    assert "covey rollout list" in missing.err
    covey("create", str(plane.plan))
    twice = covey("create", str(plane.plan))
    assert twice.code == 1
    assert "ALREADY_EXISTS" in twice.err
    plane.plan.write_text(plane.plan.read_text().replace("hold: 10m", "holt: 10m"))
    wrong = covey("create", str(plane.plan), "--name", "other")
    assert wrong.code == 1
    assert f"{plane.plan}:11: error: " in wrong.err
    assert "was not created" in wrong.err


def test_a_second_start_names_the_first(covey: Verb, plane: Any, started: Verb) -> None:
    started(ticks=1)
    covey("create", str(plane.plan), "--name", "second")
    refused = covey("start", "second")
    assert refused.code == 1
    assert "rollouts/native" in refused.err
    assert "covey rollout abort native --reason" in refused.err.splitlines()[-1]
    assert "is legal now" not in refused.err


def test_the_next_command_reaches_the_same_server(
    covey: Verb, plane: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    token_file = plane.plan.with_name("a token")
    token_file.write_text("covey_x")
    created = covey("create", str(plane.plan), "--name", "native", "--token-file", str(token_file))
    typed = f"--control {plane.client.control} --token-file '{token_file}'"
    assert created.out.splitlines()[-1] == f"  covey rollout start native {typed}"
    explained = json.loads(covey("explain", "native", "--output", "json").out)
    assert explained["next"]["command"] == f"covey rollout start native --control {plane.client.control}"
    # Who set the variable has it for the next command too; a secret is not shown.
    monkeypatch.setenv("COVEY_CONTROL", plane.client.control)
    with pytest.raises(SystemExit):
        main(["rollout", "explain", "native", "--token", "covey_x"])
    assert capsys.readouterr().out.splitlines()[-1] == "  covey rollout start native"


@pytest.mark.parametrize(
    "verb",
    [("status", "x"), ("list",), ("watch", "x"), ("history", "x"), ("abort", "x", "--reason", "r"), ("explain", "x")],
)
def test_an_unreachable_server_is_5(
    verb: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["rollout", *verb, "--control", "127.0.0.1:1", "--timeout", "200ms"])
    err = capsys.readouterr().err
    assert ended.value.code == 5
    assert "no covey server answers at 127.0.0.1:1 (Connection refused)" in err
    assert "covey serve" in err


def test_the_log_names_what_a_lease_is_for(plane: Any, caplog: pytest.LogCaptureFixture) -> None:
    request = AcquireLeaseRequest(target="echo", holder="me", request_id="1")
    with caplog.at_level(logging.INFO, "covey_server.rollouts"), grpc.insecure_channel(plane.client.control) as channel:
        RolloutServiceStub(channel).AcquireLease(request, timeout=30)
    assert [vars(record)["subject"] for record in caplog.records if record.message == "AcquireLease"] == ["echo"]


def test_the_environment_names_server_and_actor(plane: Any, tmp_path: Path) -> None:
    """Also: a real process, as an operator's shell starts it."""
    code = "import sys; from covey.cli import main; main(sys.argv[1:])"
    environment = {
        "COVEY_CONTROL": plane.client.control,
        "COVEY_ACTOR": "edsger",
        "HOME": str(tmp_path),
        "TERM": "xterm",
    }
    command = [sys.executable, "-c", code, "rollout"]
    for arguments in (["create", str(plane.plan)], ["history", "native"]):
        ran = subprocess.run(
            [*command, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert ran.returncode == 0, ran.stderr
    assert "by edsger" in ran.stdout
    assert "\x1b" not in ran.stdout


@pytest.mark.parametrize("command", ["serve", "controller"])
def test_processes_take_their_own_options(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert "--ports-file" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main([command, "--no-such-option"])
    assert ended.value.code == 2


def test_incidents_are_listed(covey: Verb, started: Verb) -> None:
    started()
    assert covey("incident", "native").out == "no incident is open\n"
    covey("incident", "native", "INC-7", "--description", "slow checkout")
    listed = covey("incident", "native").out
    assert listed.startswith("INC-7  since 20")
    assert listed.endswith("slow checkout\n")
    assert "INC-7" in covey("incident", "native", "--output", "json").out
    assert covey("incident", "native", "--description", "which?").code == 2


def test_a_hold_is_acknowledged(covey: Verb, plane: Any, started: Verb) -> None:
    controller = started(ticks=3)
    refused = covey("ack", "native")
    assert refused.code == 1
    assert "an acknowledgement needs a hold" in refused.err
    controller.traffic.requests_per_second = 0.0
    controller.tick("native", 12)
    assert "HOLDING" in covey("status", "native").out
    assert covey("ack", "native", "--reason", "looking", actor="grace").code == 0
    assert plane.client.get_rollout("native").hold_acknowledged_by == "grace"
    assert "by grace: looking" in covey("history", "native").out
