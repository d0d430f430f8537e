"""A report in its forms: Markdown, one HTML file, JSON, and the pictures that they share."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from covey.report.html import write_html
from covey.report.markdown import write_markdown
from covey.report.model import Contents
from covey.report.pictures import Picture, draw


@dataclass(frozen=True)
class Report(Contents):
    """What a rollout's journal tells, ready to be written."""

    @cached_property
    def pictures(self) -> Sequence[Picture]:
        """The pictures of every form, drawn once."""
        return draw(self.panels)

    def markdown(self, picture_prefix: str | None = None) -> str:
        """The report as Markdown; with `picture_prefix` it links the pictures of that file name prefix."""
        return write_markdown(self, () if picture_prefix is None else self.pictures, picture_prefix or "")

    def html(self) -> str:
        """The report as one HTML file that needs nothing else."""
        return write_html(self, self.pictures)

    def to_json(self) -> str:
        """Everything in the report as JSON; what is not a number is null."""
        return json.dumps(_without_nan(self._document()), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def files(self, stem: str = "report") -> Iterator[tuple[str, str]]:
        """(file name, content) of all forms and of the pictures that the Markdown links."""
        yield f"{stem}.html", self.html()
        yield f"{stem}.md", self.markdown(f"{stem}-")
        yield f"{stem}.json", self.to_json()
        for picture in self.pictures:
            yield f"{stem}-{picture.key}.svg", picture.standalone

    def _document(self) -> dict[str, Any]:
        document = asdict(self)
        for key in ("timeline", "overrides", "incidents"):
            document[key] = [event._asdict() for event in getattr(self, key)]
        return document


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
