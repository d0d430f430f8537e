"""The table of an experiment, checked: one row per unit, its variant, its outcomes, its segments.

Takes an Arrow table, or columns by name as anything that Arrow takes (NumPy arrays, lists). Nothing is half-read: what
cannot be used is an `InputError` that names column and row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from covey.errors import InputError
from covey.experiment.arrow_columns import (
    NO_VALUE,
    Levels,
    between,
    column_of,
    integers,
    is_integer,
    levels,
    levels_of,
    numeric,
    refuse_rows,
    used,
)
from covey.experiment.checks import check_ids, check_times, control_first
from covey.experiment.design import Design, Missing, Outcome, OutcomeKind, Segment
from covey.experiment.expressions import names_in

if TYPE_CHECKING:
    import pyarrow as pa

Floats = NDArray[np.float64]
MOST_VARIANTS = 32
MOST_LEVELS = 1000


class Units:
    """The units of an experiment.

    Attributes:
        variants: their names, the control first.
        codes: number of each unit's variant, shape (n,).
        counts: units by variant.
    """

    def __init__(self, table: pa.Table, design: Design) -> None:
        self._table = table
        self.design = design
        arms = levels(table, design.columns.variant, MOST_VARIANTS, allow_none=False)
        self.variants, self.codes = control_first(arms, design)
        self.counts = np.bincount(self.codes, minlength=len(self.variants))
        check_ids(table, design, self.variants, self.codes)
        check_times(table, design)

    def __len__(self) -> int:
        return len(self.codes)

    def values(self, outcome: Outcome) -> tuple[Floats, ...]:
        """The columns of an outcome, shape (n,) each, NaN where the outcome has none and `missing` is drop.

        One for a mean, a proportion or a quantile; numerator and denominator; duration and event (0 or 1); those of a
        formula in the order of `names_in`.

        Raises:
            InputError: a value that is missing, not a number, not finite or out of range, with its row.
        """
        if outcome.kind is OutcomeKind.formula:
            return tuple(self._number(name, outcome) for name in names_in(outcome.column))
        if outcome.kind is OutcomeKind.ratio:
            return self._number(outcome.column, outcome), self._number(outcome.denominator, outcome)
        if outcome.kind is OutcomeKind.time_to_event:
            duration, event = self._number(outcome.column, outcome), self._yes_no(outcome.event, outcome)
            refuse_rows(duration < 0, outcome.column, "an event before the exposure: its duration is below 0")
            return duration, event
        if outcome.kind is OutcomeKind.proportion:
            return (self._yes_no(outcome.column, outcome),)
        return (self._number(outcome.column, outcome),)

    def covariate(self, outcome: Outcome) -> Floats | None:
        """The covariate of an outcome, centred; a unit without one counts as an average one. None without any."""
        if not outcome.covariate:
            return None
        values = numeric(self._table, outcome.covariate)
        known = np.isfinite(values)
        if not known.any():
            raise InputError("the covariate has no value at all", column=outcome.covariate)
        refuse_rows(np.isinf(values), outcome.covariate, "an infinite value")
        return np.where(known, values - values[known].mean(), 0.0)

    def levels(self, segment: Segment) -> Levels:
        """The segment of each unit."""
        if not segment.cuts and not segment.quantiles:
            return levels(self._table, segment.column, MOST_LEVELS, allow_none=True)
        values = numeric(self._table, segment.column)
        known = np.isfinite(values)
        cuts = segment.cuts
        if segment.quantiles:
            if not known.any():
                raise InputError("no value to part into quantiles", column=segment.column)
            inner = np.quantile(values[known], np.arange(1, segment.quantiles) / segment.quantiles)
            cuts = tuple(float(cut) for cut in np.unique(inner))
        codes = np.searchsorted(np.array(cuts), values, side="right").astype(np.int32)
        codes[~known] = len(cuts) + 1
        return used(Levels((*between(cuts), NO_VALUE), codes))

    def id_hashes(self) -> NDArray[np.uint64]:
        """Of the units' ids, for the bootstrap."""
        from covey import _core

        column = self._table.column(self.design.columns.unit)
        if is_integer(column.type):
            return _core.hash_integers(integers(column))
        from pyarrow import large_string

        texts = column.cast(large_string()).combine_chunks()
        _, offsets, data = texts.buffers()
        first = texts.offset
        return _core.hash_strings(
            np.frombuffer(offsets, np.int64)[first : first + len(texts) + 1],
            np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8),
        )

    def _number(self, name: str, outcome: Outcome) -> Floats:
        return self._with_missing(numeric(self._table, name), name, outcome)

    def _yes_no(self, name: str, outcome: Outcome) -> Floats:
        column = column_of(self._table, name)
        if not outcome.yes_values:
            values = self._number(name, outcome)
            other = ~np.isin(values, (0.0, 1.0)) & np.isfinite(values)
            refuse_rows(other, name, "is neither 0 nor 1", "yes or no as 0 and 1, or the texts that count as yes")
            return values
        parts = levels_of(column)
        yes = np.array([text in outcome.yes_values for text in parts.names] + [False], dtype=np.float64)
        if not yes.any():
            known = ", ".join(parts.names[:8])
            raise InputError(f"no row has {' or '.join(outcome.yes_values)}", column=name, remedy=f"there are {known}")
        yes[-1] = np.nan
        return self._with_missing(yes[parts.codes], name, outcome)

    def _with_missing(self, values: Floats, name: str, outcome: Outcome) -> Floats:
        refuse_rows(np.isinf(values), name, "an infinite value")
        if outcome.missing is Missing.zero:
            return np.nan_to_num(values, nan=0.0)
        if outcome.missing is Missing.refuse and np.isnan(values).any():
            count = int(np.isnan(values).sum())
            raise InputError(
                f"no value, and so in {count} of {len(values)} rows",
                column=name,
                row=int(np.isnan(values).argmax()),
                remedy="say that a missing value is a zero (missing=zero), or no observation (missing=drop)",
            )
        return values


def read_units(table: pa.Table | Mapping[str, Any], design: Design) -> Units:
    """Check a table against a design.

    Args:
        table: an Arrow table, or columns by name.
        design: which columns are what.

    Raises:
        InputError: a column that is not there, no rows, one variant only, a unit twice or in two variants, an outcome
            before its exposure.
    """
    import pyarrow as pa

    if not isinstance(table, pa.Table):
        lengths = {name: len(values) for name, values in table.items()}
        if len(set(lengths.values())) > 1:
            raise InputError("columns differ in length", expected="one row per unit in each")
        table = pa.table({name: pa.array(values, from_pandas=True) for name, values in table.items()})
    if table.num_rows == 0:
        raise InputError("the table has no rows", expected="one row per unit")
    return Units(table, design)


def columns_of(design: Design) -> list[str]:
    """Names of the columns that a design needs, each once."""
    columns = design.columns
    names = [columns.unit, columns.variant, columns.exposed_at, columns.outcome_at, columns.known_at]
    for outcome in design.outcomes:
        is_formula = outcome.kind is OutcomeKind.formula
        names += names_in(outcome.column) if is_formula else (outcome.column,)
        names += (outcome.denominator, outcome.event, outcome.covariate)
    names += [segment.column for segment in design.segments]
    return [name for name in dict.fromkeys(names) if name]
