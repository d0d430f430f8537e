"""What the live view shows of the status screen: a part of its verdicts where all do not fit, still where asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from covey.cli.keys import Key

if TYPE_CHECKING:
    from rich.segment import Segment

HELP = "q leaves, the rollout goes on; space keeps the picture still, and lets it go on; ↓ ↑ show the other verdicts"
LEAST_ROWS = 3


@dataclass
class Looking:
    """How somebody looks at it.

    Attributes:
        is_still: whether the picture is kept as it is.
        explains: whether the keys are told.
        offset: first row of the verdicts that is shown.
    """

    is_still: bool = False
    explains: bool = False
    offset: int = 0

    def press(self, key: Key, rows: int) -> None:
        """A key was pressed.

        Args:
            key: which.
            rows: of verdicts that are shown at once.
        """
        if key is Key.STILL:
            self.is_still = not self.is_still
        elif key is Key.HELP:
            self.explains = not self.explains
        elif key is Key.DOWN:
            self.offset += max(rows - 1, 1)
        elif key is Key.UP:
            self.offset = max(self.offset - max(rows - 1, 1), 0)

    def part(self, row_count: int, room: int) -> tuple[int, int]:
        """First and last (not included) row of so many that are shown in a room of so many lines.

        Beyond the end there is nothing to see: the offset is brought back.
        """
        if row_count <= room:
            self.offset = 0
            return 0, row_count
        shown = max(room - 1, LEAST_ROWS)  # A line says what is not shown.
        self.offset = min(self.offset, max(row_count - shown, 0))
        return self.offset, min(self.offset + shown, row_count)


Lines = Sequence[Sequence["Segment"]]


def fitted(top: Lines, verdicts: Lines, bottom: Lines, height: int, looking: Looking) -> tuple[Lines, str]:
    """The lines of a picture that fit, and what is said of those that do not: "rows 1 to 9 of 14, ↓ for more".

    Args:
        top: state and facts, always shown.
        verdicts: of which a part may be shown.
        bottom: ways out, left out where there is no room for them.
        height: of the terminal.
        looking: where somebody is.
    """
    room = height - len(top) - len(bottom) - 1
    if room < LEAST_ROWS + 1:
        bottom, room = [], height - len(top) - 1
    first, last = looking.part(len(verdicts), room)
    if last - first == len(verdicts):
        return [*top, *verdicts, *bottom], ""
    where = "↓ for more" if last < len(verdicts) else "↑ for those before"
    return [*top, *verdicts[first:last], *bottom], f"rows {first + 1} to {last} of {len(verdicts)}, {where}"
