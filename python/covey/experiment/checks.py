"""What no table of an experiment may have: a unit twice, an outcome before its exposure, variants nobody planned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from covey.errors import InputError
from covey.experiment.arrow_columns import Codes, Levels, column_of, integers, is_integer, refuse_rows, times
from covey.experiment.design import Design

if TYPE_CHECKING:
    import pyarrow as pa


def check_ids(table: pa.Table, design: Design, variants: tuple[str, ...], codes: Codes) -> None:
    """Refuse a unit that has two rows, and say so apart where they are of two variants."""
    from covey import _core

    name = design.columns.unit
    column = column_of(table, name)
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy()))
        raise InputError("no value", column=name, row=row, expected="the id of a unit in every row")
    if is_integer(column.type):
        ordered = np.sort(integers(column))  # many times faster than a table of all ids
        if (ordered[1:] != ordered[:-1]).all():
            return
        numbers = _core.IdIndexer().encode(integers(column))
        distinct = int(numbers.max()) + 1
    else:
        encoded = column.combine_chunks().dictionary_encode()
        numbers, distinct = encoded.indices.to_numpy(zero_copy_only=False), len(encoded.dictionary)
    if distinct == len(codes):
        return
    order = np.lexsort((codes, numbers))
    again = numbers[order[1:]] == numbers[order[:-1]]
    crossed = again & (codes[order[1:]] != codes[order[:-1]])
    which = crossed if crossed.any() else again
    count = len(np.unique(numbers[order[1:]][which]))
    first, second = (int(order[int(which.argmax()) + step]) for step in (0, 1))
    unit = column[first].as_py()
    if crossed.any():
        arms = f"{variants[codes[first]]} (row {first}) and {variants[codes[second]]} (row {second})"
        raise InputError(
            f"unit {unit!r} is in two variants, {arms}; {count} units are",
            column=name,
            remedy="find out how a unit could change its variant: leaving such units out can bias what is left",
        )
    raise InputError(
        f"unit {unit!r} has two rows, {first} and {second}; {count} units have several",
        column=name,
        remedy="give one row per unit, with its outcomes summed",
    )


def check_times(table: pa.Table, design: Design) -> None:
    """Refuse outcomes from before the exposure, and segments from after it."""
    columns = design.columns
    if columns.outcome_at or columns.known_at:
        if not columns.exposed_at:
            raise InputError("times of outcomes or segments without the times of the exposures", expected="both")
        exposed = times(table, columns.exposed_at)
        if columns.outcome_at:
            early = times(table, columns.outcome_at) < exposed
            refuse_rows(early, columns.outcome_at, "the outcome was taken before the exposure")
        if columns.known_at:
            late = times(table, columns.known_at) > exposed
            remedy = "segments and covariates must be fixed before the exposure, or the change itself moves them"
            refuse_rows(late, columns.known_at, "the segment was taken after the exposure", remedy=remedy)
    elif columns.exposed_at:
        times(table, columns.exposed_at)


def control_first(arms: Levels, design: Design) -> tuple[tuple[str, ...], Codes]:
    """The variants with the control as number 0.

    Raises:
        InputError: one variant only, a control that nobody is in, or shares planned for others.
    """
    if len(arms.names) < 2:
        raise InputError(f"all units are in '{arms.names[0]}'", column=design.columns.variant, expected="two variants")
    unknown = sorted(set(design.planned_shares) - set(arms.names))
    if design.planned_shares and (unknown or len(design.planned_shares) != len(arms.names)):
        named, found = ", ".join(sorted(design.planned_shares)), ", ".join(arms.names)
        raise InputError(f"shares are planned for {named}, and units are in {found}", column=design.columns.variant)
    control = design.control
    if control and control not in arms.names:
        remedy = f"the variants are {', '.join(arms.names)}"
        raise InputError(f"no unit is in the control '{control}'", column=design.columns.variant, remedy=remedy)
    if not control:
        usual = [name for name in arms.names if name.lower() in {"control", "baseline"}]
        control = usual[0] if len(usual) == 1 else arms.names[0]
    order = [arms.names.index(control), *(i for i, name in enumerate(arms.names) if name != control)]
    place_of = np.empty(len(order), np.int32)
    place_of[order] = np.arange(len(order))
    return tuple(arms.names[i] for i in order), place_of[arms.codes]
