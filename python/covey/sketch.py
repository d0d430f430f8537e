"""Quantiles from counts in buckets whose edges grow by a constant factor.

    >>> import numpy as np
    >>> sketch = QuantileSketch.of(np.arange(1.0, 1001.0))
    >>> abs(sketch.quantile(0.5) / 500 - 1) < sketch.relative_error
    True

Merging adds integers: sketches of the parts give the sketch of the whole, bit for bit and in any order.
Source: Masson, Rim, Lee (2019), "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees".
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from covey.errors import InputError
from covey.moments import Metric, naming_input

if TYPE_CHECKING:
    from covey._core import Cancellation

DEFAULT_GROWTH = 1.05
"""Of the buckets' edges: the grid of the server's duration histogram."""

_MAGIC = b"covey.sketch.1\0\0"
_HEADER = struct.Struct("<16sdqqqqq")


@dataclass(frozen=True, slots=True)
class Buckets:
    """Counts of the buckets from number `first` on; the first and the last count are not 0."""

    first: int = 0
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def merged(self, other: Buckets) -> Buckets:
        """Both together."""
        if not len(self.counts) or not len(other.counts):
            return self if len(self.counts) else other
        first = min(self.first, other.first)
        last = max(self.first + len(self.counts), other.first + len(other.counts))
        counts = np.zeros(last - first, np.int64)
        for part in (self, other):
            counts[part.first - first : part.first - first + len(part.counts)] += part.counts
        return Buckets(first, counts)


@dataclass(frozen=True, slots=True)
class QuantileSketch:
    """Counts of values by logarithmic buckets: bucket b holds growth^(b - 1) < |value| <= growth^b.

    Zero has a count of its own (magnitudes below 2^-1022 are zero), negative values have buckets of their own.

    Attributes:
        growth: factor between edges, 1.001 ... 2.
        zeros: count of zeros.
        positive: buckets of values above 0.
        negative: buckets of the magnitudes of values below 0.
    """

    growth: float = DEFAULT_GROWTH
    zeros: int = 0
    positive: Buckets = field(default_factory=Buckets)
    negative: Buckets = field(default_factory=Buckets)

    @classmethod
    def of(
        cls,
        values: Metric,
        growth: float = DEFAULT_GROWTH,
        *,
        name: str = "values",
        threads: int = 1,
        cancellation: Cancellation | None = None,
    ) -> QuantileSketch:
        """The sketch of a contiguous column, float32 or float64.

        Raises:
            InputError: a value that is not finite (names the row), or a growth outside [1.001, 2].
            TypeError: another dtype, or a column that is not contiguous.
        """
        from covey import _core

        with naming_input():
            zeros, positive, negative = _core.count_in_log_buckets(
                values, growth, name, threads, cancellation=cancellation
            )
        return cls(growth, zeros, Buckets(*positive), Buckets(*negative))

    @property
    def count(self) -> int:
        """Values seen."""
        return self.zeros + int(self.positive.counts.sum()) + int(self.negative.counts.sum())

    @property
    def relative_error(self) -> float:
        """Bound of |estimate / quantile - 1|: (growth - 1) / (growth + 1), up to 1e-13."""
        return (self.growth - 1) / (self.growth + 1)

    def merged(self, other: QuantileSketch) -> QuantileSketch:
        """The sketch of both together.

        Raises:
            InputError: sketches of different growth.
        """
        if self.growth != other.growth:
            raise InputError(
                f"sketches of growth {self.growth!r} and {other.growth!r} cannot be merged", expected="one growth"
            )
        return QuantileSketch(
            self.growth,
            self.zeros + other.zeros,
            self.positive.merged(other.positive),
            self.negative.merged(other.negative),
        )

    def quantile(self, q: float) -> float:
        """The value of rank ceil(q n), at least 1, within `relative_error`; exact for zeros.

        Raises:
            InputError: q outside [0, 1], or an empty sketch.
        """
        if not 0.0 <= q <= 1.0:
            raise InputError(f"q is {q!r}", expected="a number from 0 to 1")
        if self.count == 0:
            raise InputError("the sketch is empty: it has no quantiles")
        # The largest magnitudes of the negative values come first.
        counts = np.concatenate([self.negative.counts[::-1], [self.zeros], self.positive.counts])
        rank = min(max(math.ceil(q * self.count), 1), self.count)
        place = int(np.searchsorted(np.cumsum(counts), rank))
        below_zero = len(self.negative.counts)
        if place < below_zero:
            return -self._value(self.negative.first + below_zero - 1 - place)
        return 0.0 if place == below_zero else self._value(self.positive.first + place - below_zero - 1)

    def _value(self, bucket: int) -> float:
        """What is equally far, relatively, from both edges of a bucket; the last bucket's may not fit a float."""
        upper = bucket * math.log(self.growth) + math.log(2 / (1 + self.growth))
        return math.exp(min(upper, math.log(np.finfo(np.float64).max)))

    def to_bytes(self) -> bytes:
        """A portable little-endian form; the same sketch always gives the same bytes."""
        header = _HEADER.pack(
            _MAGIC,
            self.growth,
            self.zeros,
            self.positive.first,
            len(self.positive.counts),
            self.negative.first,
            len(self.negative.counts),
        )
        return header + self.positive.counts.astype("<i8").tobytes() + self.negative.counts.astype("<i8").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> QuantileSketch:
        """What `to_bytes` wrote.

        Raises:
            InputError: bytes that are no sketch.
        """
        if len(data) < _HEADER.size or data[: len(_MAGIC)] != _MAGIC:
            raise InputError("these bytes are no quantile sketch", expected="what `to_bytes` wrote")
        _, growth, zeros, first, size, negative_first, negative_size = _HEADER.unpack_from(data)
        if min(zeros, size, negative_size) < 0 or len(data) != _HEADER.size + 8 * (size + negative_size):
            raise InputError(f"a quantile sketch of {len(data)} bytes is cut off or damaged")
        counts = np.frombuffer(data, "<i8", offset=_HEADER.size).astype(np.int64)
        if not 1.001 <= growth <= 2.0 or (counts < 0).any():
            raise InputError("a quantile sketch holds a growth or a count that none can have")
        return cls(growth, zeros, Buckets(first, counts[:size]), Buckets(negative_first, counts[size:]))
