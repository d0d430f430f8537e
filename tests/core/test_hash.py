"""Hashes that other languages must be able to repeat, and the sample they choose."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from covey import _core

from .test_cohorts import mix_oracle

INT64 = st.integers(-(2**63), 2**63 - 1)
UINT64 = st.integers(0, 2**64 - 1)


def fnv1a_oracle(data: bytes) -> int:
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) % 2**64
    return value


def murmur_oracle(data: bytes, seed: int) -> int:
    def rotate(x: int, by: int) -> int:
        return ((x << by) | (x >> (32 - by))) & 0xFFFFFFFF

    def scramble(word: int) -> int:
        return (rotate((word * 0xCC9E2D51) & 0xFFFFFFFF, 15) * 0x1B873593) & 0xFFFFFFFF

    value = seed
    whole = len(data) // 4 * 4
    for start in range(0, whole, 4):
        value = rotate(value ^ scramble(int.from_bytes(data[start : start + 4], "little")), 13)
        value = (value * 5 + 0xE6546B64) & 0xFFFFFFFF
    value ^= scramble(int.from_bytes(data[whole:], "little"))
    value ^= len(data)
    value = ((value ^ (value >> 16)) * 0x85EBCA6B) & 0xFFFFFFFF
    value = ((value ^ (value >> 13)) * 0xC2B2AE35) & 0xFFFFFFFF
    return value ^ (value >> 16)


def string_column(texts: list[str]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    return offsets, np.frombuffer(b"".join(encoded), np.uint8)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("a", 1009084850),
        ("hello", 613153351),
        ("salt:1", 2950642640),
        ("salt:9007199254740993", 4215930294),
        ("salt:ünï", 1513046970),
    ],
)
def test_murmur_golden_values_of_the_design(text: str, expected: int) -> None:
    assert _core.murmur3_x86_32(text.encode()) == expected
    salt, _, learner_id = text.partition(":")
    if learner_id:
        assert _core.bucket_strings(salt, *string_column([learner_id])).tolist() == [expected]
    if learner_id.isdecimal():
        assert _core.bucket_integers(salt, np.array([int(learner_id)], np.int64)).tolist() == [expected]


def test_fnv_golden_values() -> None:
    """From the definition's own test suite (Noll): "", "a", "foobar"."""
    hashes = _core.hash_strings(*string_column(["", "a", "foobar"]))
    assert hashes.tolist() == [0xCBF29CE484222325, 0xAF63DC4C8601EC8C, 0x85944171F73967E8]


def test_splitmix_golden_values() -> None:
    """Round r of seed 0 and hash 0 is the output r of Vigna's splitmix64.c with seed 0."""
    assert [mix_oracle(0, r, 0) for r in range(3)] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


@given(st.binary(max_size=40), st.integers(0, 2**32 - 1))
def test_murmur_equals_the_definition(data: bytes, seed: int) -> None:
    assert _core.murmur3_x86_32(data, seed) == murmur_oracle(data, seed)


@given(st.text(max_size=5), st.lists(st.text(max_size=12), max_size=6))
def test_strings(salt: str, texts: list[str]) -> None:
    column = string_column(texts)
    assert _core.hash_strings(*column).tolist() == [fnv1a_oracle(text.encode()) for text in texts]
    assert _core.bucket_strings(salt, *column).tolist() == [
        murmur_oracle(f"{salt}:{text}".encode(), 0) for text in texts
    ]


@given(st.lists(INT64, max_size=6), st.lists(UINT64, max_size=6))
def test_an_integer_is_its_decimal_text(signed: list[int], unsigned: list[int]) -> None:
    for ids, array in [(signed, np.array(signed, np.int64)), (unsigned, np.array(unsigned, np.uint64))]:
        column = string_column([str(i) for i in ids])
        assert _core.hash_integers(array).tolist() == _core.hash_strings(*column).tolist()
        assert _core.bucket_integers("s", array).tolist() == _core.bucket_strings("s", *column).tolist()


@given(st.lists(UINT64, max_size=60), st.integers(0, 2**64 - 1), st.integers(0, 70))
def test_smallest_hashes(hashes: list[int], seed: int, count: int) -> None:
    mixed = sorted((mix_oracle(seed, 65535, value), value, position) for position, value in enumerate(hashes))
    found = _core.smallest_hashes(np.array(hashes, np.uint64), seed, count)
    assert found.tolist() == [position for _, _, position in mixed[:count]]


def test_smallest_hashes_of_many_do_not_depend_on_order() -> None:
    hashes = _core.hash_integers(np.arange(50_000))
    order = np.random.default_rng(0).permutation(len(hashes))
    sample = _core.smallest_hashes(hashes, 9, 1_000)
    assert hashes[sample].tolist() == hashes[order][_core.smallest_hashes(hashes[order], 9, 1_000)].tolist()
    mixed = [mix_oracle(9, 65535, int(value)) for value in hashes]
    assert sample.tolist() == np.argsort(np.array(mixed, np.uint64), kind="stable")[:1_000].tolist()


def test_offsets_that_do_not_fit_the_data_are_refused() -> None:
    data = np.zeros(3, np.uint8)
    for offsets, message in [
        ([0, 4], r"offsets\[1\] is 4, expected a number in \[0, 3\]"),
        ([2, 1], r"offsets\[1\] is 1, expected a number in \[2, 3\]"),
        ([-1, 1], r"offsets\[0\] is -1"),
        ([], "offsets is empty"),
    ]:
        with pytest.raises(ValueError, match=message):
            _core.hash_strings(np.array(offsets, np.int64), data)
        with pytest.raises(ValueError, match=message):
            _core.bucket_strings("s", np.array(offsets, np.int64), data)


def test_errors_name_the_argument() -> None:
    with pytest.raises(TypeError, match="ids must have dtype int64 or uint64, not int32"):
        _core.hash_integers(np.zeros(1, np.int32))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="data must have dtype uint8, not int8"):
        _core.hash_strings(np.zeros(1, np.int64), np.zeros(1, np.int8))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="id_hashes must have dtype uint64"):
        _core.smallest_hashes(np.zeros(1, np.int64), 0, 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="count is -1"):
        _core.smallest_hashes(np.zeros(1, np.uint64), 0, -1)


@given(seed=st.integers(0, 2**32), sizes=st.lists(st.integers(0, 300), max_size=6))
@settings(max_examples=200)
def test_crc32_is_that_of_zlib_whatever_the_pieces(seed: int, sizes: list[int]) -> None:
    generator = np.random.default_rng(seed)
    pieces = [memoryview(generator.bytes(size + 1))[1:] for size in sizes]
    assert _core.crc32(pieces) == zlib.crc32(b"".join(pieces))


def test_crc32_refuses_what_is_not_contiguous() -> None:
    with pytest.raises(ValueError, match=r"pieces\[1\] must be contiguous bytes"):
        _core.crc32([b"whole", memoryview(b"every second")[::2]])
