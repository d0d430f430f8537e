"""Masks add to nothing, hide what is under them, and are never used for two answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from covey.errors import InputError
from covey.federation.masks import Keyring, unmasked

NUMBERS = st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=20)


def joined(count: int, run: str = "run") -> list[Keyring]:
    rings = [Keyring(f"region-{number}", run) for number in range(count)]
    keys = {f"region-{number}": ring.public_key for number, ring in enumerate(rings)}
    for ring in rings:
        ring.join(keys)
    return rings


@given(count=st.integers(1, 5), numbers=NUMBERS, question=st.integers(1, 2**40))
def test_all_together_say_the_total(count: int, numbers: list[int], question: int) -> None:
    own = [np.array(numbers, np.int64) + number for number in range(count)]
    total = unmasked([ring.masked(each, question) for ring, each in zip(joined(count), own, strict=True)])
    with np.errstate(over="ignore"):
        assert np.array_equal(total, np.sum(own, axis=0))


def test_one_alone_says_nothing() -> None:
    """Of zeros and of learners: words that look alike, each bit set half of the time."""
    ring, *_ = joined(3)
    for numbers in (np.zeros(4096, np.int64), np.arange(4096)):
        bits = np.unpackbits(ring.masked(numbers, 7).view(np.uint8))
        assert abs(bits.mean() - 0.5) < 0.005


def test_without_one_of_them_nothing_can_be_read() -> None:
    first, second, _ = joined(3)
    zeros = np.zeros(4096, np.int64)
    bits = np.unpackbits(unmasked([first.masked(zeros, 1), second.masked(zeros, 1)]).view(np.uint8))
    assert abs(bits.mean() - 0.5) < 0.005


def test_questions_and_runs_have_masks_of_their_own() -> None:
    first, second = Keyring("a", "one", bytes(range(32))), Keyring("a", "two", bytes(range(32)))
    other = Keyring("b", "one", bytes(range(1, 33)))
    for ring in (first, second):
        ring.join({"a": ring.public_key, "b": other.public_key})
    zeros = np.zeros(64, np.int64)
    seen = {ring.masked(zeros, question).tobytes() for ring in (first, second) for question in (1, 2, 3)}
    assert len(seen) == 6


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        (lambda own: {"b": bytes(32)}, "the key of a is not the one it gave"),
        (lambda own: {"a": bytes(range(32)), "b": own}, "not the one it gave"),
        (lambda own: {"a": own, "b": own}, "the same key"),
        (lambda own: {"a": own, "b": b"short"}, "the key of b is no key"),
        (lambda own: {"a": own, "b": bytes(32)}, "the key of b is no key"),
    ],
)
def test_keys_that_do_not_fit_are_refused(keys: object, problem: str) -> None:
    ring = Keyring("a", "run")
    with pytest.raises(InputError, match=problem):
        ring.join(keys(ring.public_key))  # type: ignore[operator]


def test_answers_of_different_lengths_are_no_total() -> None:
    with pytest.raises(InputError, match="different amounts"):
        unmasked([np.zeros(2, np.uint64), np.zeros(3, np.uint64)])
