"""The report of a rollout, from its journal and nothing else: Markdown, one-file HTML and JSON.

>>> from covey.report import build_report
>>> report = build_report(client.list_entries("native"))  # doctest: +SKIP
>>> Path("report.html").write_text(report.html())          # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from covey.report.build import build_report
    from covey.report.forms import Report

__all__ = ["Report", "build_report"]


def __getattr__(name: str) -> Any:
    # The terminal shares this room's words; it does not pay for the report's folds and pictures.
    if name == "build_report":
        from covey.report.build import build_report

        return build_report
    if name == "Report":
        from covey.report.forms import Report

        return Report
    raise AttributeError(f"module 'covey.report' has no attribute {name!r}")
