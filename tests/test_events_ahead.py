"""Reading ahead in a second thread: in order, bounded, with its errors, and gone when nobody reads any more."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest

from covey.events_ahead import read_ahead


def test_all_items_in_order():
    assert list(read_ahead(range(1_000))) == list(range(1_000))
    assert list(read_ahead([])) == []


def test_an_error_comes_after_the_items_before_it():
    def items():
        yield 1
        raise OSError("disk on fire")

    seen = []
    with pytest.raises(OSError, match="disk on fire"):
        seen.extend(read_ahead(items()))
    assert threading.active_count() == 1 or "covey-read-ahead" not in {thread.name for thread in threading.enumerate()}


def test_at_most_so_many_items_ahead():
    made = []
    ready = threading.Event()

    def items():
        for number in range(100):
            made.append(number)
            if number == 3:
                ready.set()
            yield number

    with closing(read_ahead(items(), depth=2)) as ahead:
        assert next(ahead) == 0
        assert ready.wait(10)
        # One handed out, two waiting, one in the hands of the thread.
        assert made == [0, 1, 2, 3]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_leaving_early_ends_the_thread(error):
    before = threading.active_count()

    def items():
        yield from range(1_000_000)

    with pytest.raises(error), closing(read_ahead(items())) as ahead:
        for number in ahead:
            if number == 10:
                raise error
    assert threading.active_count() == before
