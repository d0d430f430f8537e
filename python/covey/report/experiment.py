"""The report of an experiment: verdicts first, pictures, then every number; one HTML file from the result's data."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from covey.report import words


def write_experiment_html(title: str, result: dict[str, Any], dive: dict[str, Any] | None = None) -> str:
    """The page.

    Args:
        title: above it.
        result: as `covey.experiment.experiment_data` gives it.
        dive: as `covey.experiment.segments_data` gives it; None: no deep dive.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    from covey.experiment.wording import number_words, signed_words
    from covey.report.experiment_pictures import effects_picture, segments_pictures

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"text": words.clean, "number": number_words, "signed": signed_words}
    page = files("covey.report").joinpath("experiment.html.j2").read_text(encoding="utf-8")
    pictures = [effects_picture(result)] if any("effect" in one for one in result["comparisons"]) else []
    deeper = segments_pictures(dive) if dive is not None else []
    return environment.from_string(page).render(
        title=title,
        result=result,
        dive=dive,
        kind=_kind(result),
        reading_names={"FIXED": "fixed", "GROUP_SEQUENTIAL": "group-sequential", "ALWAYS_VALID": "always valid"},
        claims=list(
            dict.fromkeys((r["kind"], r["may_claim"]) for one in result["comparisons"] for r in one["readings"])
        ),
        pictures=[(one, Markup(one.inline)) for one in pictures],  # noqa: S704 - escaped by matplotlib
        deeper=[(one, Markup(one.inline)) for one in deeper],  # noqa: S704 - escaped by matplotlib
    )


def _kind(result: dict[str, Any]) -> str:
    """Colour of the page's head: the worst verdict."""
    verdicts = {one["verdict"] for one in result["comparisons"]}
    for verdict in ("INVALID", "HARMED", "IMPROVED", "ALIKE"):
        if verdict in verdicts:
            return verdict.lower()
    return "undecided"
