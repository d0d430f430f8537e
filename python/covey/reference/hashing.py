"""Hashes of learner ids, and the seeded random numbers made of them.

Every random choice of the analysis is a function of (seed, round, learner id) and never of a learner's position, so
that the order and the partition of the learners cannot change a result.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FNV_OFFSET = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)
_MASK_32 = 0xFFFFFFFF
_MASK_64 = 0xFFFFFFFFFFFFFFFF
_GOLDEN_GAMMA = 0x9E3779B97F4A7C15
_MOST_DIGITS = 20

SAMPLE_ROUND = 65_535
"""The round number that draws the silhouette sample; the rounds of k-means++ come below it."""


def hash_integers(ids: NDArray[np.int64] | NDArray[np.uint64]) -> NDArray[np.uint64]:
    """FNV-1a 64 of the decimal text of each id, shape (n,)."""
    negative = ids < 0
    magnitude = np.where(negative, np.uint64(0) - ids.astype(np.uint64), ids.astype(np.uint64))
    digits = np.empty((_MOST_DIGITS, len(ids)), dtype=np.uint8)
    for place in range(_MOST_DIGITS):
        digits[_MOST_DIGITS - 1 - place] = magnitude % np.uint64(10)
        magnitude //= np.uint64(10)
    hashes = np.full(len(ids), _FNV_OFFSET)
    hashes[negative] = (hashes[negative] ^ np.uint64(ord("-"))) * _FNV_PRIME
    started = np.zeros(len(ids), dtype=bool)
    for place in range(_MOST_DIGITS):
        started |= (digits[place] != 0) | (place == _MOST_DIGITS - 1)
        mixed = (hashes ^ (digits[place] + np.uint64(ord("0")))) * _FNV_PRIME
        hashes = np.where(started, mixed, hashes)
    return hashes


def hash_strings(offsets: NDArray[np.int64], data: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """FNV-1a 64 of each UTF-8 string: string i is `data[offsets[i]:offsets[i + 1]]`. Shape (n,)."""
    starts, lengths = offsets[:-1], np.diff(offsets)
    hashes = np.full(len(starts), _FNV_OFFSET)
    for place in range(int(lengths.max(initial=0))):
        rows = np.flatnonzero(lengths > place)
        hashes[rows] = (hashes[rows] ^ data[starts[rows] + place].astype(np.uint64)) * _FNV_PRIME
    return hashes


def mix(seed: int, round_number: int, hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The splitmix64 finaliser of each hash, moved by (seed, round): independent uniform 64-bit numbers, shape (n,)."""
    step = np.uint64(_GOLDEN_GAMMA * (seed * 65_536 + round_number + 1) & _MASK_64)
    x = hashes + step
    x ^= x >> np.uint64(30)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x


def uniform(seed: int, round_number: int, hashes: NDArray[np.uint64]) -> NDArray[np.float64]:
    """One uniform number in (0, 1) per hash, shape (n,)."""
    high_bits: NDArray[np.float64] = (mix(seed, round_number, hashes) >> np.uint64(11)).astype(np.float64)
    return (high_bits + 0.5) * 2.0**-53


def smallest_hashes(hashes: NDArray[np.uint64], seed: int, count: int) -> NDArray[np.int64]:
    """Positions of the `count` smallest mixed hashes, smallest first: a sample that depends on ids and seed only."""
    mixed = mix(seed, SAMPLE_ROUND, hashes)
    return np.lexsort((hashes, mixed))[:count].astype(np.int64)


def murmur3_x86_32(data: bytes, seed: int = 0) -> int:
    """MurmurHash3 x86 32-bit (Austin Appleby, public domain), the hash of the traffic split."""
    state = seed & _MASK_32
    body_length = len(data) // 4 * 4
    for start in range(0, body_length, 4):
        block = int.from_bytes(data[start : start + 4], "little")
        state = _rotate_left(state ^ _scrambled(block), 13)
        state = (state * 5 + 0xE6546B64) & _MASK_32
    state ^= _scrambled(int.from_bytes(data[body_length:], "little"))
    state ^= len(data)
    state = ((state ^ (state >> 16)) * 0x85EBCA6B) & _MASK_32
    state = ((state ^ (state >> 13)) * 0xC2B2AE35) & _MASK_32
    return state ^ (state >> 16)


def _scrambled(block: int) -> int:
    return _rotate_left(block * 0xCC9E2D51 & _MASK_32, 15) * 0x1B873593 & _MASK_32


def _rotate_left(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (32 - bits))) & _MASK_32
