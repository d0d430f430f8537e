"""Files read again when they change, by a clock moved by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from covey.access.watched import CHECK_SECONDS, Watched
from covey.errors import InputError


class Number:
    """A file with a number, and a clock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 0.0
        self.path.write_text("1")
        self.watched = Watched([path], self.load, lambda: self.now)

    def load(self) -> int:
        try:
            return int(self.path.read_text())
        except (OSError, ValueError) as error:
            raise InputError("is no number", source=str(self.path)) from error

    def replace(self, text: str) -> None:
        new = self.path.with_suffix(".new")
        new.write_text(text)
        new.replace(self.path)

    def after(self, seconds: float) -> int:
        self.now += seconds
        return self.watched.current()


@pytest.fixture
def number(tmp_path: Path) -> Number:
    return Number(tmp_path / "number")


def test_a_change_is_seen_at_the_next_look(number: Number) -> None:
    number.replace("2")
    assert number.after(CHECK_SECONDS / 2) == 1
    assert number.after(CHECK_SECONDS) == 2


def test_what_is_broken_leaves_the_last_good_value_and_is_logged_once(
    number: Number, caplog: pytest.LogCaptureFixture
) -> None:
    number.replace("many")
    assert [number.after(CHECK_SECONDS) for _ in range(3)] == [1, 1, 1]
    assert caplog.text.count("stays in force") == 1
    number.path.unlink()
    assert number.after(CHECK_SECONDS) == 1
    number.replace("3")
    assert number.after(CHECK_SECONDS) == 3


def test_what_cannot_be_read_at_the_start_is_said_at_once(tmp_path: Path) -> None:
    def load() -> int:
        raise InputError("nothing there")

    with pytest.raises(InputError):
        Watched([tmp_path / "none"], load, lambda: 0.0)


def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "pair"
    path.write_text("1")
    clock = [0.0]
    reads = []

    def load() -> str:
        text = path.read_text()
        reads.append(text)
        if text == "2":
            path.write_text("33")
        return text

    watched = Watched([path], load, lambda: clock[0])
    path.write_text("2")
    clock[0] += CHECK_SECONDS
    assert watched.current() == "1"
    clock[0] += CHECK_SECONDS
    assert watched.current() == "33"
    assert reads == ["1", "2", "33"]
