"""The guard against slow drift: what fails, what is only said, what is skipped aloud."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import instructions


def counts(avx2: int) -> instructions.Counts:
    return {"traits": {"avx2": avx2}}


@pytest.mark.parametrize(("count", "fails"), [(1_000_000, False), (1_030_000, False), (1_030_001, True), (5, False)])
def test_three_percent_more_fails_and_says_was_and_is(count: int, fails: bool) -> None:
    failures, remarks = instructions.judged(counts(1_000_000), counts(count))
    assert bool(failures) is fails
    assert f"was 1,000,000, is {count:,}" in (failures + remarks)[0]


def test_an_improvement_is_shown() -> None:
    assert instructions.judged(counts(1000), counts(900)) == (
        [],
        ["traits on avx2: was 1,000, is 900 (-10.0%), an improvement to record"],
    )


def test_a_family_that_is_not_recorded_or_gone_fails() -> None:
    assert instructions.judged({}, counts(7))[0] == ["traits on avx2: nothing recorded, is 7"]
    assert instructions.judged(counts(7) | {"old": {"avx2": 7}}, counts(7))[0] == [
        "old: recorded, but the driver has no such family"
    ]


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A driver and a valgrind of two lines each: what they print is what the real ones print."""
    path = tmp_path / "driver"
    path.write_text('#!/bin/sh\n[ "$1" = --list ] && echo traits || echo gcc 99.0\n')
    valgrind = tmp_path / "valgrind"
    valgrind.write_text(
        "#!/bin/sh\n[ $COVEY_ISA = avx2 ] && echo '==1== Collected : 2000' >&2 || echo '==1== Collected : 3000' >&2\n"
    )
    for program in (path, valgrind):
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(instructions, "RECORD", tmp_path / "instructions.json")
    return path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["instructions.py", *arguments])
    return instructions.main()


def test_counts_are_accepted_compared_and_held(
    driver: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, str(driver), "--accept") == 0
    record = json.loads(instructions.RECORD.read_text())
    assert record["instructions"] == {"traits": {"avx2": 2000, "baseline": 3000}}
    assert run(monkeypatch, str(driver)) == 0
    record["instructions"]["traits"]["baseline"] = 2900
    instructions.RECORD.write_text(json.dumps(record))
    capsys.readouterr()
    assert run(monkeypatch, str(driver)) == 1
    said = capsys.readouterr().out
    assert "FAILED: traits on baseline: was 2,900, is 3,000 (+3.4%)" in said
    assert "ACCEPT=--accept" in said


def test_counts_of_another_compiler_are_not_compared(
    driver: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    instructions.RECORD.write_text(json.dumps({"toolchain": "gcc 1.0", "instructions": {"traits": {"avx2": 1}}}))
    assert run(monkeypatch, str(driver)) == 0
    assert "SKIPPED: instructions were recorded with gcc 1.0, this is gcc 99.0" in capsys.readouterr().out


def test_a_machine_without_valgrind_says_so(
    driver: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert run(monkeypatch, str(driver)) == 0
    assert "SKIPPED: instructions are not counted, valgrind is not installed" in capsys.readouterr().out


def test_a_driver_that_counts_nothing_is_an_error(driver: Path) -> None:
    (driver.parent / "valgrind").write_text("#!/bin/sh\necho '==1== Collected : 0' >&2\n")
    with pytest.raises(RuntimeError, match="traits on avx2: exit status 0, nothing counted"):
        instructions.count(driver, "traits", "avx2")
