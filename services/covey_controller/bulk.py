"""One line of a metrics page as a sample, in a fifth of the library parser's time: for families of many series."""

from __future__ import annotations

import re

from covey_controller.scrape import scrape_failed

_LINE = re.compile(
    r"[a-zA-Z_:][a-zA-Z0-9_:]*\{((?:[a-zA-Z_]\w*=\"(?:[^\"\\]|\\.)*\",?)*)\}[ \t]+(\S+)(?:[ \t]+(-?\d+))?[ \t]*"
)
_LABEL = re.compile(r"([a-zA-Z_]\w*)=\"((?:[^\"\\]|\\.)*)\"")
_ESCAPED = re.compile(r"\\(.)")


def bulk_sample(line: str) -> tuple[dict[str, str], float, float | None]:
    """Labels, value and time (Unix seconds; None where the line has none) of a line with labels.

    Raises:
        AbsenceError: SCRAPE_FAILED for what is no such line, or has a label twice.
    """
    match = _LINE.fullmatch(line)
    if match is None:
        raise scrape_failed(f"no sample: {line[:120]!r}")
    pairs = _LABEL.findall(match[1])
    labels = dict(pairs)
    if len(labels) != len(pairs):
        raise scrape_failed(f"a label twice: {line[:120]!r}")
    if "\\" in match[1]:
        labels = {name: _ESCAPED.sub(_unescaped, text) for name, text in labels.items()}
    try:
        value = float(match[2])
    except ValueError as error:
        raise scrape_failed(f"no number: {line[:120]!r}") from error
    return labels, value, None if match[3] is None else int(match[3]) / 1000


def _unescaped(match: re.Match[str]) -> str:
    return "\n" if match[1] == "n" else match[1]
