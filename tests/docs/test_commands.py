"""Every command of every page is typed, or stands on one of the two lists of elsewhere.py."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .elsewhere import ELSEWHERE, UNRUN
from .following import ALONE, EVERY, TYPED, follow, listed, typist_of
from .installed import Installed
from .reading import PAGES, PROJECT, Command, blocks, statements
from .typist import Run, Typist, understood


def test_the_other_pages(
    tmp_path: Path, installed: Installed, run: Run, authority: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    typist = typist_of(tmp_path, installed, run, authority, monkeypatch)
    try:
        for page in TYPED:
            if page not in ALONE:
                typist.move(installed.places)
                typist.speaks_tls = False
                follow(page, typist)
    finally:
        typist.close()


def test_a_command_that_does_not_work_is_found(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin, for each way of typing."""
    typist = Typist(tmp_path, run, monkeypatch)
    for text in (
        "covey rollout check summer.yaml",
        "covey rollout check summer.yaml > said.txt",
        "curl -s http://127.0.0.1:9464/metrics | grep covey",
        "covey serve --data-directory /dev/null",
    ):
        with pytest.raises(AssertionError, match=re.escape(text)):
            typist.type(Command("page.md", text))


def test_requests_of_grpcurl_are_what_their_methods_take() -> None:
    lines = [command for command in EVERY if command.bare.startswith("grpcurl")]
    assert len(lines) > 9
    for command in lines:
        understood(command.bare)
    with pytest.raises(AssertionError, match="no field named"):
        understood("""grpcurl -d '{"names": "x"}' :1 covey.v1.RolloutService/GetRollout""")


def test_nothing_is_listed_twice_and_no_list_is_longer_than_the_pages() -> None:
    assert len(EVERY) > 250
    assert [str(command) for command in EVERY if len(listed(command)) > 1] == []
    assert [one for one in (*ELSEWHERE, *UNRUN) if not any(one.covers(command) for command in EVERY)] == []
    assert [one.command for one in UNRUN if len(one.reason.split()) < 4] == []


@pytest.mark.parametrize("one", ELSEWHERE, ids=lambda one: f"{one.page} {one.command}")
def test_the_other_test_is_there_and_speaks_of_it(one: Any) -> None:
    assert one.words in (PROJECT / one.test).read_text(encoding="utf-8")


def test_targets_and_tests_that_are_named_are_there() -> None:
    for command in EVERY:
        words = command.bare.split()
        if words[0] == "make":
            arguments = [re.sub('^"|"$', "", word) for word in re.findall(r'[A-Z]+="[^"]*"|\S+', command.bare)[1:]]
            asked = subprocess.run(
                ["make", "--dry-run", "--question", *arguments],
                cwd=PROJECT,
                capture_output=True,
                text=True,
                check=False,
            )
            assert "No rule to make target" not in asked.stderr, command
        for word in words if "pytest" in words else ():
            assert not word.startswith("tests/") or (PROJECT / word).exists(), command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^) ]+)\)", text) if "://" not in link]
    assert [link for link in links if link and not (page.parent / link).exists()] == []


def test_commands_are_read_as_a_shell_reads_them() -> None:
    text = "a \\\n  b\n# no\n\nc 'd\ne'  # f\nfor x in 1; do\n  g\ndone\ncat <<'END'\n'\nEND\nh | i\n"
    assert statements(text) == [
        "a \\\n  b", "c 'd\ne'  # f", "for x in 1; do\n  g\ndone", "cat <<'END'\n'\nEND", "h | i",
    ]  # fmt: skip
    assert Command("p", "a \\\n  b   # c").bare == "a    b"
    assert Command("p", "a '#b'").bare == "a '#b'"
    with pytest.raises(ValueError, match="no end"):
        statements("a 'b\n")
    assert blocks("```sh\na\n```\n```\nb\n```\n") == ["a\n"]
