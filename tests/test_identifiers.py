"""Ids: the traffic split of DESIGN section 7 and the hashes that randomness is made of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covey import _core
from covey.identifiers import LearnerIds, bucket, in_candidate
from covey.reference import hashing

GOLDEN = {"": 0, "a": 1009084850, "hello": 613153351}
GOLDEN_BUCKETS = {("salt", "1"): 2950642640, ("salt", 9007199254740993): 4215930294, ("salt", "ünï"): 1513046970}


def test_golden_murmur3():
    for text, expected in GOLDEN.items():
        assert _core.murmur3_x86_32(text.encode()) == expected
        assert hashing.murmur3_x86_32(text.encode()) == expected


def test_golden_buckets():
    for (salt, learner_id), expected in GOLDEN_BUCKETS.items():
        assert bucket(salt, learner_id) == expected
        assert bucket(salt, str(learner_id)) == expected
    assert LearnerIds(integers=np.array([1, 9007199254740993])).buckets("salt").tolist() == [2950642640, 4215930294]
    assert LearnerIds.from_texts(["ünï", "1"]).buckets("salt").tolist() == [2950642640, 1513046970]


def test_thresholds_are_exact():
    for weight_bp, threshold in ((1, 429496), (100, 42949672)):
        assert in_candidate(threshold - 1, weight_bp)
        assert not in_candidate(threshold, weight_bp)
    assert in_candidate(2**32 - 1, 10_000)
    assert not in_candidate(0, 0)
    for weight_bp in (-1, 10_001):
        with pytest.raises(ValueError, match="basis points"):
            in_candidate(0, weight_bp)


@given(st.binary(max_size=40), st.integers(0, 2**32 - 1))
@settings(max_examples=200)
def test_murmur3_of_both_engines(data, seed):
    assert _core.murmur3_x86_32(data, seed) == hashing.murmur3_x86_32(data, seed)


def plain_fnv1a(data: bytes) -> int:
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-12, 12), unique=True, min_size=1))
@settings(max_examples=100)
def test_integers_hash_as_their_text(numbers):
    ids = LearnerIds(integers=np.array(sorted(numbers), dtype=np.int64))
    expected = [plain_fnv1a(str(number).encode()) for number in sorted(numbers)]
    assert ids.hashes("native").tolist() == ids.hashes("reference").tolist() == expected


@given(st.sets(st.text(max_size=12), min_size=1))
@settings(max_examples=100)
def test_strings_hash_as_utf8(texts):
    ids = LearnerIds.from_texts(texts)
    expected = [plain_fnv1a(text.encode()) for text in sorted(texts, key=str.encode)]
    assert ids.hashes("native").tolist() == ids.hashes("reference").tolist() == expected
    assert LearnerIds.from_arrow(ids.to_arrow()).texts() == ids.texts()


def test_an_integer_and_its_text_are_one_learner():
    numbers = LearnerIds(integers=np.array([0, 7, 42, 2**64 - 1], dtype=np.uint64))
    texts = LearnerIds.from_texts(["0", "7", "42", str(2**64 - 1)])
    order = [texts.find(text) for text in numbers.texts()]
    assert numbers.hashes().tolist() == texts.hashes()[order].tolist()
    assert numbers.buckets("s").tolist() == texts.buckets("s")[order].tolist()
    assert [bucket("s", text) for text in numbers.texts()] == numbers.buckets("s").tolist()


def test_mixed_hashes_are_splitmix64():
    # The generator's published first outputs for the seed 1234567 (hash 0, round 0 adds one step of the gamma).
    state = np.array([1234567], dtype=np.uint64)
    outputs = [int(hashing.mix(0, number, state)[0]) for number in range(3)]
    assert outputs == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=50), st.integers(0, 2**63 - 1), st.integers(1, 60))
@settings(max_examples=100)
def test_samples_of_both_engines(hashes, seed, count):
    column = np.array(hashes, dtype=np.uint64)
    native = _core.smallest_hashes(column, seed, min(count, len(hashes)))
    reference = hashing.smallest_hashes(column, seed, count)
    assert column[native].tolist() == column[reference].tolist()
