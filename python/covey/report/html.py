"""A report as one HTML file: no script, no font, no picture from elsewhere; light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from covey.report import words
from covey.report.markdown import percent
from covey.report.model import Contents
from covey.report.pictures import Picture
from covey.report.stabilisation import share_text


def write_html(report: Contents, drawn: Sequence[Picture]) -> str:
    """The whole report. Every text is escaped by the template; only the pictures are inserted as they are."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "share": words.share,
        "span": words.span,
        "number": words.count,
        "text": words.clean,
        "percent": percent,
        "slug": lambda text: text.lower().replace(" ", "-"),
    }
    environment.globals["share_of"] = share_text
    template = environment.from_string(files("covey.report").joinpath("report.html.j2").read_text(encoding="utf-8"))
    pictures = [(picture, Markup(picture.inline)) for picture in drawn]  # noqa: S704 - escaped by matplotlib
    palette = Markup(files("covey.report").joinpath("palette.css").read_text(encoding="utf-8"))  # noqa: S704 - our own
    return template.render(report=report, pictures=pictures, palette=palette)
