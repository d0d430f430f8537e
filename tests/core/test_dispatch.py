"""Choice of the instruction set: by the machine, by COVEY_ISA, by argument."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from covey import _core


def in_process(code: str, isa: str | None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "COVEY_ISA"}
    if isa is not None:
        environment["COVEY_ISA"] = isa
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_the_default_is_the_best_and_the_environment_overrides_it() -> None:
    code = "from covey import _core; print(_core.active_isa(), _core.build_info()['isa'])"
    available = _core.available_isas()
    assert in_process(code, None).stdout.split() == [available[0]] * 2
    for name in available:
        assert in_process(code, name).stdout.split() == [name] * 2


def test_an_unknown_name_is_an_error_that_lists_the_names() -> None:
    names = ", ".join(_core.available_isas())
    code = "from covey import _core\ntry:\n  _core.active_isa()\nexcept ValueError as e:\n  print(e)"
    expected = f'COVEY_ISA "sse9" is not an instruction set that this machine can run; available: {names}'
    assert in_process(code, "sse9").stdout.strip() == expected
    points = np.zeros((1, 1), np.float32)
    with pytest.raises(ValueError, match=f'^isa "sse9" is not an instruction set .* available: {names}$'):
        _core.assign(points, points, isa="sse9")
    with pytest.raises(ValueError, match="isa is empty"):
        _core.assign(points, points, isa="")


def test_build_info() -> None:
    info = _core.build_info()
    assert info.keys() == {"version", "compiler", "isa"}
    assert info["version"].count(".") == 2
    assert info["compiler"].startswith(("gcc ", "clang "))
