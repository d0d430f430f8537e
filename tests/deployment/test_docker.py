"""The Dockerfile, read: no engine is here to build it. What it runs is run."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from server.running import ServedHere

from covey.cli import main
from covey.configuration.settings import read_settings
from covey_server.options import SECTION

PROJECT = Path(__file__).resolve().parents[2]
FOLDER = PROJECT / "services" / "deployment" / "docker"
VERSION = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]


def instructions() -> list[tuple[str, str]]:
    """Every instruction with its arguments, continued lines joined."""
    text = re.sub(r"^#.*\n", "", (FOLDER / "Dockerfile").read_text(), flags=re.M)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [(words[0], words[2].strip()) for line in lines if (words := line.partition(" ")) and line.strip()]


def final_stage() -> list[tuple[str, str]]:
    made = instructions()
    last = max(number for number, (word, _) in enumerate(made) if word == "FROM")
    return made[last:]


def test_there_are_two_stages_and_no_compiler_in_the_last() -> None:
    assert [word for word, _ in instructions()].count("FROM") == 2
    assert "g++" in str(instructions())
    assert "apt-get" not in str(final_stage())
    assert ("COPY", "--from=build /opt/covey /opt/covey") in final_stage()


def test_it_runs_as_nobody_in_particular() -> None:
    users = [arguments for word, arguments in final_stage() if word == "USER"]
    assert users == ["10001:10001"], "a number, so that Kubernetes can tell that it is not root"
    order = [word for word, _ in final_stage()]
    assert order.index("USER") < order.index("ENTRYPOINT")


def test_what_is_copied_is_there_and_not_ignored() -> None:
    ignored = (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
    assert "*" in ignored
    for word, arguments in instructions():
        if word == "COPY" and not arguments.startswith("--from"):
            *sources, _ = arguments.split()
            for source in sources:
                assert (PROJECT / source).exists()
                assert f"!{source}" in ignored


def test_it_has_the_version_of_the_project() -> None:
    assert f"covey:{VERSION}" in (FOLDER / "Dockerfile").read_text()


def test_it_starts_what_there_is() -> None:
    words = dict(final_stage())
    entry, command = json.loads(words["ENTRYPOINT"]), json.loads(words["CMD"])
    assert entry == ["/opt/covey/bin/covey"]
    assert command[0] == "serve"
    assert str(read_settings(SECTION, command[1:], {})["data_directory"]) == words["VOLUME"]
    ports = {f"{read_settings(SECTION, command[1:], {})[key].port}" for key in ("listen", "control_listen")}
    assert ports < set(words["EXPOSE"].split())


def health_command() -> list[str]:
    (arguments,) = [arguments for word, arguments in final_stage() if word == "HEALTHCHECK"]
    found: list[str] = json.loads(arguments.partition("CMD ")[2])
    return found


def test_its_health_check_tells_a_server_that_serves_from_one_that_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, *arguments = health_command()
    assert program == "covey"
    server = ServedHere(data_directory=tmp_path / "data")
    try:
        where = ["--metrics", f"http://127.0.0.1:{server.metrics_port}/metrics"]
        with pytest.raises(SystemExit) as ended:
            main([*arguments, *where])
        assert ended.value.code == 0
        server.room._health.draining()
        with pytest.raises(SystemExit) as ended:
            main([*arguments, *where])
        assert ended.value.code == 1
    finally:
        server.stop()
