"""The command line of the server, and what it says of mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from covey_server.config import Address, parse


def test_defaults_are_the_ports_of_the_design() -> None:
    config = parse(["--data-directory", "d"])
    assert str(config.listen) == "127.0.0.1:50051"
    assert str(config.control_listen) == "127.0.0.1:50052"
    assert str(config.metrics_listen) == "127.0.0.1:9464"
    assert config.data_directory == Path("d")
    assert config.stable == "reference"
    assert not config.faults_enabled


def test_an_ipv6_address_keeps_its_brackets() -> None:
    config = parse(["--data-directory", "d", "--listen", "[::1]:0"])
    assert config.listen == Address("::1", 0)
    assert str(config.listen) == "[::1]:0"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--data-directory"),
        (["--data-directory", "d", "--listen", "50051"], "expected HOST:PORT"),
        (["--data-directory", "d", "--listen", "host:99999"], "expected HOST:PORT"),
        (["--data-directory", "d", "--threads", "0"], "whole number from 1"),
        (["--data-directory", "d", "--call-deadline", "-1"], "number of seconds"),
        (["--data-directory", "d", "--fault", "candidate-hangs"], "not started with --enable-faults"),
        (["--data-directory", "d", "--enable-faults", "--fault", "nonsense"], "unknown"),
        (["--data-directory", "d", "--log-level", "loud"], "invalid choice"),
    ],
)
def test_mistakes_are_named_and_end_with_the_usage_status(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_faults_load_where_they_are_allowed() -> None:
    config = parse(["--data-directory", "d", "--enable-faults", "--fault", "error-rate=0.5", "--fault-seed", "3"])
    assert config.fault_plan is not None
    assert config.fault_plan.error_share == 0.5
    assert config.fault_seed == 3
