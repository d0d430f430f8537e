"""What is wrong with a plan, where, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One thing to know about a spec.

    Attributes:
        level: "error" makes the spec unusable, "warning" does not.
        path: the field, such as "phases[0].criteria[1].statement"; empty for the whole.
        message: what was found, what was expected, what to do.
    """

    level: Literal["error", "warning"]
    path: str
    message: str


class SpecError(ValueError):
    """A spec that cannot be used. The text lists every finding as "file:line: message".

    Attributes:
        findings: the errors.
    """

    def __init__(self, findings: Sequence[Finding], source: str = "", lines: Mapping[str, int] | None = None) -> None:
        self.findings = list(findings)
        super().__init__("\n".join(located(finding, source, lines or {}) for finding in findings))


def located(finding: Finding, source: str, lines: Mapping[str, int]) -> str:
    """The finding with its place: file and line where the spec was text, the field's path where it was not."""
    line = _line(finding.path, lines)
    message = " ".join(finding.message.split())  # one line, whatever text of the file it quotes
    place = f"{source}:{line}" if source and line else source or finding.path
    if place and finding.path and place != finding.path:
        return f"{place}: {finding.path}: {message}"
    return f"{place}: {message}" if place else message


def _line(path: str, lines: Mapping[str, int]) -> int | None:
    """The line of the field, or of the nearest one around it that is written in the file."""
    while path not in lines and path:
        cut = max(path.rfind("."), path.rfind("["))
        path = path[:cut] if cut >= 0 else ""
    return lines.get(path)
