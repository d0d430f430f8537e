"""A rival in a process of its own: its environment, its answers, its end."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rival_process import Contenders, RivalProcess

# The process imports the module by its name, so it must be one that both sides can find.
MODULE = """
import os

def contenders(number):
    if number < 0:
        raise ValueError("no number below zero")
    return {
        "number": lambda: number,
        "threads": lambda: os.environ["COVEY_TEST_THREADS"],
        "fails": lambda: 1 // 0,
        "ends": lambda: os._exit(7),
    }
"""
THREADS = {"COVEY_TEST_THREADS": "1"}


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Contenders]:
    (tmp_path / "rival_of_the_test.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    made: Callable[..., Any] = importlib.import_module("rival_of_the_test").contenders
    return made


def test_it_has_its_own_environment_and_answers(make: Callable[..., Contenders]) -> None:
    with RivalProcess(make, (5,), THREADS) as rival:
        assert rival.result("number") == 5
        assert rival.result("threads") == "1"
        rival.contender("number")()
    assert "COVEY_TEST_THREADS" not in os.environ


def test_a_failing_round_tells_its_error(make: Callable[..., Contenders]) -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"), RivalProcess(make, (5,), THREADS) as rival:
        rival.contender("fails")()


def test_a_rival_that_is_gone_is_said_to_be_gone(make: Callable[..., Contenders]) -> None:
    with pytest.raises(RuntimeError, match="ended, exit code 7"), RivalProcess(make, (5,), THREADS) as rival:
        rival.contender("ends")()


def test_a_rival_that_cannot_be_made_tells_why(make: Callable[..., Contenders]) -> None:
    with pytest.raises(RuntimeError, match="no number below zero"), RivalProcess(make, (-1,), THREADS):
        pass
