"""Completion as shells ask for it: real bash, real zsh where there is one, and names from a real server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = sysconfig.get_path("scripts")


def environment(home: Path, **more: str) -> dict[str, str]:
    path = f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}"
    return {"HOME": str(home), "PATH": path, "TERM": "dumb", "LANG": "C.UTF-8", **more}


def bash(home: Path, script: str, **more: str) -> str:
    done = subprocess.run(
        ["bash", "--norc", "-c", script], env=environment(home, **more), capture_output=True, text=True, check=False,
        timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def completed(home: Path, line: str, **more: str) -> list[str]:
    """What bash offers after a line, whose last word is being typed."""
    words = line.split(" ")
    quoted = " ".join(f"'{word}'" for word in words)
    script = f"""
    . "$HOME/.bash_completions/covey.sh"
    COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}
    $(complete -p covey | sed -n 's/.*-F \\([^ ]*\\).*/\\1/p') covey
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return bash(home, script, **more).split()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder in which `covey --install-completion` was run from bash."""
    folder = tmp_path_factory.mktemp("home")
    told = bash(folder, "covey --install-completion; true")
    assert "bash completion installed" in told
    assert ".bash_completions/covey.sh" in (folder / ".bashrc").read_text(encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("covey rol", {"rollout"}),
        ("covey ", {"analyze", "rollout", "demo", "token"}),
        ("covey rollout wa", {"watch"}),
        ("covey rollout p", {"plan", "pause", "promote", "postpone"}),
        ("covey analyze --out", {"--output", "--outcome"}),
        ("covey analyze --engine ", {"native", "reference"}),
        ("covey rollout status --output j", {"json"}),
        ("covey nothing-like-it", set()),
    ],
)
def test_bash_completes(home: Path, line: str, offered: set[str]) -> None:
    found = set(completed(home, line))
    assert offered <= found
    assert all(word.startswith(line.rsplit(" ", maxsplit=1)[-1]) for word in found)
    assert bool(found) == bool(offered)


def test_names_of_rollouts_come_from_the_server(home: Path, plane: Any, started: Any) -> None:
    started()
    control = plane.client.control
    assert completed(home, "covey rollout status na", COVEY_CONTROL=control) == ["native"]
    assert completed(home, f"covey rollout watch --control {control} ") == ["native"]
    assert completed(home, "covey rollout status x", COVEY_CONTROL=control) == []


def test_without_a_server_nothing_is_offered_and_nothing_said(home: Path) -> None:
    assert completed(home, "covey rollout status na", COVEY_CONTROL="127.0.0.1:1") == []


def test_zsh_is_asked_in_its_own_way(home: Path) -> None:
    asked = environment(home, _COVEY_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS="covey rollout wa")
    done = subprocess.run(["covey"], env=asked, capture_output=True, text=True, check=False, timeout=60)
    assert '"watch":"Follow a rollout until it ends' in done.stdout
    script = bash(home, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION=1 covey --show-completion zsh")
    assert script.startswith("#compdef covey")
    zsh = shutil.which("zsh")
    if zsh is not None:
        subprocess.run([zsh, "-n"], input=script, text=True, check=True, timeout=60)
