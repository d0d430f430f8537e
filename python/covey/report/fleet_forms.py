"""A fleet's report as Markdown and as one HTML file."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

from covey.report import words
from covey.report.fleet import FleetReport
from covey.report.markdown import code, escape, table, verdict_table


def write_fleet_markdown(report: FleetReport) -> str:
    """The whole report as Markdown."""
    return "\n".join(_lines(report)).rstrip() + "\n"


def _lines(report: FleetReport) -> Iterator[str]:
    yield f"# Fleet {escape(report.name)}: {report.decision}"
    yield ""
    yield f"**{escape(report.sentence)}**"
    yield ""
    if report.description:
        yield f"> {escape(report.description)}"
        yield ""
    yield (
        f"{code(report.candidate)} over {code(report.baseline)} in {len(report.regions)} regions, from {report.began}, "
        f"{words.span(report.seconds)}."
    )
    yield ""
    yield "## Regions"
    yield ""
    yield from table(
        ("region", "wave", "state", "why", "started", "took", "candidate (failed)", "baseline (failed)"),
        [
            (escape(it.name), str(it.wave), it.state, escape(it.why), it.started or "-",
             words.span(it.seconds) if it.started else "-",
             _counted(it.candidate_requests, it.candidate_errors), _counted(it.baseline_requests, it.baseline_errors))
            for it in report.regions
        ],
    )  # fmt: skip
    yield ""
    yield "## All regions together"
    yield ""
    mine = _counted(report.total("candidate_requests"), report.total("candidate_errors"))
    rival = _counted(report.total("baseline_requests"), report.total("baseline_errors"))
    yield f"Candidate {mine}, baseline {rival}. What was added up are counters; no id left its region."
    yield ""
    if report.criteria or report.triggers:
        yield from verdict_table([*report.criteria, *report.triggers])
    else:
        yield "The fleet has no global gate."
        yield ""
    yield "## Out of reach"
    yield ""
    if report.outages:
        yield from table(
            ("region", "from", "to", "for", "what went on there meanwhile"),
            [
                (escape(it.region), it.begin, it.end, words.span(it.seconds), escape(it.meanwhile))
                for it in report.outages
            ],
        )
    else:
        yield "No region's journal tells of an outage."
    yield ""
    yield "## What the coordinator did"
    yield ""
    yield from table(
        ("time", "region", "what", "why"),
        [(it.time, escape(it.region), escape(it.text), escape(it.reason)) for it in report.done_by_fleet()],
    )
    yield ""
    yield "## Timeline"
    yield ""
    yield from table(
        ("time", "region", "what", "who", "why"),
        [(it.time, escape(it.region), escape(it.text), escape(it.actor), escape(it.reason)) for it in report.timeline],
    )
    yield ""
    yield rules(report)
    yield ""
    source = "Everything here is from the regions' journals."
    yield f"Fleet spec SHA-256 {code(report.digest)}, written {report.written}. {source}"


def rules(report: FleetReport) -> str:
    """How waves follow each other, in sentences."""
    dwell = f", {words.span(report.wave_dwell_seconds)} later" if report.wave_dwell_seconds else ""
    tolerated = report.tolerated_region_count or "no"
    return (
        f"A wave starts when every region of those before {report.wave_done}{dwell}; where a region is rolled back, "
        f"{report.on_region_harm}; later waves start with {tolerated} region rolled back at most."
    )


def _counted(requests: int, errors: int) -> str:
    return f"{words.count(requests)} ({words.count(errors)})"


def write_fleet_html(report: FleetReport) -> str:
    """The whole report as one HTML file: no script, no font, nothing from elsewhere; light and dark."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "span": words.span,
        "number": words.count,
        "text": words.clean,
        "slug": lambda text: text.lower().replace(" ", "-"),
    }
    room = files("covey.report")
    template = environment.from_string(room.joinpath("fleet.html.j2").read_text(encoding="utf-8"))
    palette = Markup(room.joinpath("palette.css").read_text(encoding="utf-8"))  # noqa: S704 - our own
    return template.render(report=report, palette=palette, rules=rules(report))
