"""The controller's command line."""

from __future__ import annotations

import pytest

from covey_controller.config import default_holder, parse_address, parse_arguments, parse_replica
from covey_controller.failures import ConfigError
from covey_controller.main import main


def test_defaults_are_the_loopback_ports() -> None:
    config = parse_arguments([])
    assert config.control_address == "127.0.0.1:50052"
    assert config.metrics_address == "127.0.0.1:9465"
    (replica,) = config.replicas
    assert replica.data_address == "127.0.0.1:50051"
    assert replica.metrics_url == "http://127.0.0.1:9464/metrics"


def test_replicas_are_named_by_their_data_port() -> None:
    arguments = ["--replica", "data=a:1,metrics=http://a:2/metrics", "--replica", "data=b:1,metrics=http://b:2/metrics"]
    assert [replica.name for replica in parse_arguments(arguments).replicas] == ["a:1", "b:1"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "127.0.0.1:1",
        "data=127.0.0.1:1",
        "metrics=http://a/metrics",
        "data=a,metrics=http://a/metrics",
        "data=a:1,metrics=a:2",
        "data=a:1,metrics=ftp://a/metrics",
        "data=a:1,metrics=http:///metrics",
        "data=a:1,metrics=http://a/metrics,weight=3",
    ],
)
def test_a_wrong_replica_says_what_is_expected(text: str) -> None:
    with pytest.raises(ConfigError, match="expected data=HOST:PORT,metrics="):
        parse_replica(text)


def test_a_replica_twice_is_refused() -> None:
    replica = "data=a:1,metrics=http://a:2/metrics"
    with pytest.raises(ConfigError, match="twice"):
        parse_arguments(["--replica", replica, "--replica", replica])


@pytest.mark.parametrize("text", ["", "a", ":1", "a:", "a:b", "a:65536", "a:-1"])
def test_a_wrong_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_address(text)


def test_an_address_of_ipv6_loses_its_brackets() -> None:
    assert parse_address("[::1]:80") == ("::1", 80)


def test_no_two_processes_have_one_holder() -> None:
    assert default_holder() != default_holder()


def test_a_wrong_setting_ends_with_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--poll-seconds", "0"]) == 2
    assert "above 0" in capsys.readouterr().err
