"""Which of flag, variable, file and default holds, and what is said of each mistake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from covey.configuration.options import ConfigurationError, Group, Option, Section, host_only, whole, without_password
from covey.configuration.settings import read_settings, unknown_variables

SECTION = Section(
    "server",
    "covey-server",
    "For tests.",
    (
        Group(
            "All",
            (
                Option("threads", "how many", "8", "N", whole(1, 256)),
                Option("mark", "marks", is_repeated=True),
                Option("level", "loudness", "info", choices=("info", "debug")),
                Option("loud", "a switch", is_switch=True),
                Option("place", "where", is_required=True),
                Option("token", "a secret", variable="COVEY_TOKEN", is_secret=True),
            ),
        ),
    ),
)
PLACE = {"COVEY_SERVER_PLACE": "here"}
Write = Callable[[str], list[str]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(text: str) -> list[str]:
        path = tmp_path / "covey.toml"
        path.write_text(text)
        return ["--config", str(path)]

    return written


def test_defaults_hold_where_nothing_is_said() -> None:
    settings = read_settings(SECTION, [], PLACE)
    assert (settings["threads"], settings["mark"], settings["loud"], settings["token"]) == (8, (), False, None)
    assert settings.all["threads"].source == "default"


@given(flag=st.booleans(), variable=st.booleans(), in_file=st.booleans())
def test_the_first_of_flag_variable_file_and_default_holds(
    tmp_path_factory: pytest.TempPathFactory, flag: bool, variable: bool, in_file: bool
) -> None:
    path = tmp_path_factory.mktemp("config") / "covey.toml"
    path.write_text("[controller]\nthreads = 99\n\n[server]\n" + "threads = 3 # few\n" * in_file)
    arguments = ["--config", str(path)] + ["--threads", "1"] * flag
    setting = read_settings(SECTION, arguments, PLACE | ({"COVEY_SERVER_THREADS": "2"} if variable else {})).all[
        "threads"
    ]
    expected = [
        (flag, 1, "flag --threads"),
        (variable, 2, "COVEY_SERVER_THREADS"),
        (in_file, 3, f"{path}:5"),
        (True, 8, "default"),
    ]
    assert (True, setting.value, setting.source) == next(row for row in expected if row[0])


def test_every_kind_of_value_comes_from_a_file(write: Write) -> None:
    settings = read_settings(
        SECTION, write('[server]\nmark = ["a", "b c"]\nloud = true\nplace = "x"\nlevel="debug"'), {}
    )
    assert settings["mark"] == ("a", "b c")
    assert settings["loud"] is True
    assert settings["level"] == "debug"


def test_every_kind_of_value_comes_from_a_variable() -> None:
    said = {"COVEY_SERVER_MARK": "a  b", "COVEY_SERVER_LOUD": "yes", "COVEY_TOKEN": "hush"} | PLACE
    settings = read_settings(SECTION, [], said)
    assert (settings["mark"], settings["loud"], settings["token"]) == (("a", "b"), True, "hush")
    assert settings.all["token"].shown == "(set)"


def test_a_flag_ends_what_a_file_switched_on_by_variable(write: Write) -> None:
    arguments = write("[server]\nloud = true\n")
    assert read_settings(SECTION, arguments, PLACE | {"COVEY_SERVER_LOUD": "no"})["loud"] is False


def test_the_file_may_be_named_by_a_variable(write: Write) -> None:
    _, path = write("[server]\nthreads = 5\n")
    assert read_settings(SECTION, [], PLACE | {"COVEY_CONFIG": path})["threads"] == 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[server]\n\ntreads = 3", r"covey.toml:3: \[server\] has no key 'treads'; did you mean threads\?"),
        ("[server]\nxyzzy = 3", r"covey.toml:2: \[server\] has no key 'xyzzy'$"),
        ("[sever]\nthreads = 3", r"covey.toml:1: there is no table \[sever\]; did you mean server\?"),
        ("[kitchen]", r"no table \[kitchen\]; there are server, controller, dashboard"),
        ("threads = 3", r"covey.toml:1: 'threads' stands under no table"),
        ("server = 3", r"covey.toml:1: server is a table"),
        ("[server]\nthreads = 300", r"covey.toml:2: threads: '300' is not a whole number from 1 to 256"),
        ("[server]\nthreads = 2.5", r"threads: '2.5' is not a whole number"),
        ("[server]\nthreads = true", r"threads is true; expected a text or a number"),
        ("[server]\nthreads = [3]", r"threads is an array; expected"),
        ("[server]\nthreads = {a = 1}", r"threads is a table; expected"),
        ('[server]\nmark = "a"', r'mark is an array, such as \["a"\]'),
        ("[server]\nmark = [[1]]", r"mark is an array; expected a text"),
        ('[server]\nloud = "yes"', r"loud is true or false, without quotes"),
        ('[server]\nlevel = "shrill"', r"level: invalid choice: 'shrill' \(choose from info, debug\)"),
        ('[server]\ntoken = "hush"', r"token is a secret: say it by COVEY_TOKEN"),
        ("[server]\n= 3", r"this is no TOML: .*line 2"),
        ("server = {treads = 3}", r"covey.toml: \[server\] has no key 'treads'"),
    ],
)
def test_mistakes_of_a_file_are_named_with_their_line(write: Write, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as refused:
        read_settings(SECTION, write(text), PLACE)
    assert "hush" not in str(refused.value)


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml: No such file"):
        read_settings(SECTION, ["--config", str(tmp_path / "nowhere.toml")], PLACE)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="no UTF-8"):
        read_settings(SECTION, ["--config", str(tmp_path / "bytes.toml")], PLACE)


def test_mistakes_of_variables_and_flags_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigurationError, match=r"^COVEY_SERVER_THREADS: threads: 'x' is not a whole"):
        read_settings(SECTION, [], PLACE | {"COVEY_SERVER_THREADS": "x"})
    with pytest.raises(ConfigurationError, match="neither true nor false"):
        read_settings(SECTION, [], PLACE | {"COVEY_SERVER_LOUD": "maybe"})
    with pytest.raises(SystemExit) as ended:
        read_settings(SECTION, ["--threads", "0"], PLACE)
    assert ended.value.code == 2
    assert "whole number from 1" in capsys.readouterr().err


def test_what_must_be_given_says_how() -> None:
    with pytest.raises(
        ConfigurationError, match=r"--place is missing; give the flag, COVEY_SERVER_PLACE, or place under"
    ):
        read_settings(SECTION, [], {})
    assert read_settings(SECTION, [], {}, complete=False)["place"] is None


def test_variables_that_are_none_are_found() -> None:
    said = PLACE | {"COVEY_SERVER_TREADS": "3", "COVEY_TOKEN": "x", "HOME": "/"}
    assert unknown_variables([SECTION], said) == ["COVEY_SERVER_TREADS"]


def test_urls_are_shown_without_what_is_secret() -> None:
    assert (
        without_password("postgresql://covey:hunter2@db:5432/covey?x=1") == "postgresql://covey:***@db:5432/covey?x=1"
    )
    assert without_password("postgresql://covey@db/covey") == "postgresql://covey@db/covey"
    assert host_only("https://user:pw@hooks.example/T0KEN?key=1") == "https://hooks.example/..."
    assert host_only("http://127.0.0.1:9093") == "http://127.0.0.1:9093"
