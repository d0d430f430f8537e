"""Results as HTML for notebooks: a small table in the page's own colours, light or dark. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from covey.notebook import text
from covey.parameters import TRAIT_NAMES

if TYPE_CHECKING:
    from covey.cohorts import Cohorts
    from covey.events import Events
    from covey.retention import Cell, Retention
    from covey.traits import Traits

SHORT_TRAIT_NAMES = ("velocity", "affinity", "frequency", "feedback", "retention")
"""The five traits where there is little room."""

_SHOWN_LEARNERS = 5
_RIGHT = ' style="text-align:right"'
_LEFT = ' style="text-align:left"'


def of_events(events: Events) -> str:
    """How many, of whom, when, where."""
    domains = [name for name in events.domains if name is not None]
    named = ", ".join(domains[:_SHOWN_LEARNERS]) + (", …" if len(domains) > _SHOWN_LEARNERS else "")
    oldest_us = int(events.time_us.min())
    rows = [
        ("events", f"{len(events):,}"),
        ("learners", f"{len(events.learner_ids):,}"),
        ("from", text.instant(oldest_us)),
        ("to", text.instant(events.newest_us)),
        ("domains", f"{len(domains):,}" + (f": {named}" if named else "")),
        ("capabilities", f"{sum(name is not None for name in events.capabilities):,}"),
        ("memory", f"{events.byte_count / 2**20:,.1f} MiB"),
    ]
    return _table("Events", (), rows)


def of_traits(traits: Traits) -> str:
    """What is known of all learners in quantiles, and the first few learners."""
    quantiles = np.quantile(traits.matrix, (0.1, 0.5, 0.9), axis=1) if len(traits) else np.zeros((0, 5))
    rows = [
        (name, *(f"{value:.3f}" for value in values))
        for name, values in zip(("10 %", "median", "90 %"), quantiles, strict=False)
    ]
    shown = min(len(traits), _SHOWN_LEARNERS)
    rows += [
        (f"learner {traits.learner_ids.text(index)}", *(f"{value:.3f}" for value in traits.matrix[:, index]))
        for index in range(shown)
    ]
    if len(traits) > shown:
        rows.append((f"… {len(traits) - shown:,} more", *[""] * len(TRAIT_NAMES)))
    return _table(text.of_traits(traits), ("", *SHORT_TRAIT_NAMES), rows)


def of_cohorts(cohorts: Cohorts) -> str:
    """One row per cohort: its name, its size as a bar, its mean traits; a trait is darker where it is larger."""
    largest = max(row.share for row in cohorts.model.cohorts)
    lines = []
    for row in cohorts.model.cohorts:
        bar = round(100 * row.share / largest)
        cells = [
            f"<td{_RIGHT}>{row.index}</td><td{_LEFT}>{escape(row.archetype)}</td><td{_RIGHT}>{row.size:,}</td>",
            f'<td style="text-align:right;background:linear-gradient(90deg,rgba(27,102,168,.3) {bar}%,transparent '
            f'{bar}%)">{row.share:.1%}</td>',
        ]
        cells += [
            f'<td style="text-align:right;background:rgba(194,80,10,{0.45 * value:.2f})">{value:.3f}</td>'
            for value in row.mean_traits
        ]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    head = _head(("", "archetype", "learners", "share", *SHORT_TRAIT_NAMES))
    return f"<table>{_caption(text.summary(cohorts))}{head}<tbody>{''.join(lines)}</tbody></table>"


def of_retention(found: Retention) -> str:
    """A row per group, a column per interval; a cell is darker the more came back, italic where few are behind it."""
    table = found.table
    lines = []
    for row in (*table.rows, table.total):
        cells = [
            f'<th scope="row"{_LEFT}>{escape(row.group)}</th><td{_RIGHT}>{row.learner_count:,}</td>',
            *(_retained(cell) for cell in row.cells),
        ]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    head = _head(("", "learners", *(interval.label for interval in table.intervals)))
    return f"<table>{_caption(text.of_retention(found))}{head}<tbody>{''.join(lines)}</tbody></table>"


def _retained(cell: Cell) -> str:
    if cell.share is None:
        return f"<td{_RIGHT}></td>"
    style = "text-align:right;font-style:italic" if cell.verdict == "few" else "text-align:right"
    title = f"{cell.retained_count:,} of {cell.eligible_count:,}"
    shade = f"background:rgba(27,102,168,{0.5 * cell.share:.2f})"
    return f'<td style="{style};{shade}" title="{title}">{cell.share:.0%}</td>'


def _table(caption: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = "".join(
        f'<tr><th scope="row"{_LEFT}>{escape(first)}</th>'
        + "".join(f"<td{_RIGHT if headings else _LEFT}>{escape(cell)}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return f"<table>{_caption(caption)}{_head(headings) if headings else ''}<tbody>{body}</tbody></table>"


def _caption(content: str) -> str:
    return f'<caption style="text-align:left;caption-side:top"><b>{escape(content)}</b></caption>'


def _head(headings: Sequence[str]) -> str:
    cells = "".join(
        f'<th scope="col"{_LEFT if heading == "archetype" else _RIGHT}>{escape(heading)}</th>' for heading in headings
    )
    return f"<thead><tr>{cells}</tr></thead>"
