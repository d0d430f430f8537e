"""What tables say about learners beside their events: files, and columns as attributes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covey.errors import InputError

UNKNOWN = -1


@dataclass(frozen=True, eq=False, slots=True)
class Attribute:
    """A property that learners share or not, such as a segment, a cohort or an archetype.

    Attributes:
        codes: int32, shape (n,): a position in `names`; -1 where it is not known of a learner.
        names: of the values.
    """

    codes: NDArray[np.int32]
    names: tuple[str, ...]

    def name_of(self, position: int) -> str:
        """The value of the learner at a position; "unknown" where there is none."""
        code = int(self.codes[position])
        return self.names[code] if code >= 0 else "unknown"


def read_table(path: Path) -> Any:
    """A pyarrow table of a Parquet file, or of a CSV file with a heading and every column as text.

    Raises:
        InputError: the file is neither.
    """
    import pyarrow as pa
    from pyarrow import csv, parquet

    try:
        if path.suffix.lower() != ".csv":
            return parquet.read_table(path)
        with path.open("rb") as file:
            names = file.readline().decode("utf-8-sig").strip().split(",")
        options = csv.ConvertOptions(
            column_types={name.strip('"'): pa.string() for name in names}, strings_can_be_null=True
        )
        return csv.read_csv(path, convert_options=options)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise InputError(str(error).splitlines()[0], source=str(path), expected="a Parquet or CSV file") from None


def attribute_of(values: Any) -> Attribute:
    """A column of values, one per learner, as an attribute; null is not known."""
    import pyarrow as pa

    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    coded = values.cast(pa.string()).dictionary_encode()
    codes = coded.indices.fill_null(UNKNOWN).to_numpy(zero_copy_only=False).astype(np.int32)
    return Attribute(codes, tuple(coded.dictionary.to_pylist()))
