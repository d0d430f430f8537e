"""What each picture draws into the axes of one phase, and what it says to somebody who cannot see it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from covey.report import words
from covey.report.inks import BAD, BASELINE, CANDIDATE, FOURTH, GOOD, GRID, INK, LIMIT, THIRD
from covey.report.model import Panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ENOUGH_REQUESTS = 100
_WIDE, _THIN = 2.4, 1.3
_WIDTHS = (3.6, 2.7, 1.9, 1.2)
_MARKERS = {
    "checkpoint": ("|", LIMIT), "hold": ("s", FOURTH), "release": ("D", GOOD), "pause": ("s", THIRD),
    "resume": ("D", THIRD), "override": ("P", BAD), "approval": ("^", GOOD), "denial": ("v", BAD),
    "rollback": ("X", BAD), "end": ("o", INK), "incident": ("*", BAD), "wait": ("s", BASELINE),
}  # fmt: skip


def _percent(value: float, _: object = None) -> str:
    return f"{100 * value:.3g} %"


def draw_share(axis: Axes, panel: Panel) -> None:
    """The candidate's share by the journal and on the wire, and what happened."""
    steps = [*panel.share_steps, (panel.end_seconds, panel.share_steps[-1][1])]
    times, shares = [step[0] for step in steps], [step[1] / 10_000 for step in steps]
    axis.fill_between(times, shares, step="post", color=CANDIDATE, alpha=0.18, linewidth=0)
    axis.step(times, shares, where="post", color=CANDIDATE, label="share by the journal")
    wire = [largest / 10_000 for _, largest in panel.wire_bp]
    axis.plot(
        panel.seconds, wire, linestyle="none", marker=".", markersize=2.5, color=BASELINE, label="read from replicas"
    )
    axis.set_yscale("symlog", linthresh=0.01, linscale=0.6)
    axis.set_ylim(0, 1.6)
    axis.set_yticks([0, 0.01, 0.1, 1], labels=["0 %", "1 %", "10 %", "100 %"])
    axis.minorticks_off()
    for kind, (marker, colour) in _MARKERS.items():
        times = [mark.seconds for mark in panel.marks if mark.kind == kind]
        if times:
            axis.plot(times, [1.25] * len(times), linestyle="none", marker=marker, color=colour, markersize=6,
                      label=kind, clip_on=False)  # fmt: skip


def draw_errors(axis: Axes, panel: Panel) -> None:
    """Errors over requests since the phase began, both arms, with the limits of the statements."""
    candidate, baseline = panel.candidate, panel.baseline
    _band(axis, panel.seconds, candidate.error_interval)
    axis.plot(
        panel.seconds, _rates(candidate.errors, candidate.requests), color=CANDIDATE, label="candidate", linewidth=_WIDE
    )
    axis.plot(
        panel.seconds, _rates(baseline.errors, baseline.requests), color=BASELINE, label="baseline", linewidth=_THIN
    )
    _limits(axis, [(rate, _is_trigger(text)) for text, rate in panel.error_limits])
    seen = [value for arm in (candidate, baseline) for value in _settled(arm.errors, arm.requests)]
    _grow(axis, [*(rate for _, rate in panel.error_limits), *seen])


def draw_slow(axis: Axes, panel: Panel) -> None:
    """Requests slower than each latency limit over all, both arms, with the share that the statement allows."""
    styles = ("-", "--", ":")
    seen = [allowed for _, allowed in panel.slower_limits]
    for index, (limit, _) in enumerate(panel.slower_limits):
        style = styles[index % len(styles)]
        if index == 0:
            _band(axis, panel.seconds, panel.candidate.slower_interval.get(limit, ([], [])))
        for arm, colour, label, width in (
            (panel.candidate, CANDIDATE, "candidate", _WIDE),
            (panel.baseline, BASELINE, "baseline", _THIN),
        ):
            counts = arm.slower.get(limit, [])
            seen += _settled(counts, arm.requests)
            name = f"{label} > {limit * 1000:g} ms"
            rates = _rates(counts, arm.requests)
            axis.plot(panel.seconds, rates, color=colour, linestyle=style, linewidth=width, label=name)
    _limits(axis, [(allowed, False) for _, allowed in panel.slower_limits], "allowed by the limit")
    _grow(axis, seen)


def draw_proof(axis: Axes, panel: Panel) -> None:
    """Ln E of each criterion over its threshold, cut off at -1 and 1.5."""
    styles: Counter[str] = Counter()
    for statement, values in panel.progress.items():
        metric = statement.split(" ", 1)[0]
        clipped = [min(max(value, -1.0), 1.5) if not math.isnan(value) else math.nan for value in values]
        if _known(clipped):
            style = ("-", "--", ":")[styles[metric] % 3]
            # Falling widths: lines on top of each other stay visible.
            width = _WIDTHS[min(sum(styles.values()), len(_WIDTHS) - 1)]
            colour = _metric_colour(metric)
            axis.plot(panel.seconds, clipped, color=colour, linestyle=style, linewidth=width, label=metric)
            styles[metric] += 1
    axis.axhline(1.0, color=LIMIT, linewidth=1, linestyle=(0, (5, 3)))
    axis.axhline(0.0, color=GRID, linewidth=0.8)
    axis.set_ylim(-1.1, 1.6)
    axis.set_yticks([-1, 0, 1], labels=["refuted", "open", "proven"])


def _band(axis: Axes, seconds: Sequence[float], ends: tuple[Sequence[float], Sequence[float]]) -> None:
    """The candidate's interval: what its rate may be, by what was seen so far."""
    if ends[0]:
        label = "candidate, 95 % interval at every look"
        axis.fill_between(seconds, ends[0], ends[1], color=CANDIDATE, alpha=0.16, linewidth=0, label=label)


def _metric_colour(metric: str) -> str:
    """One colour per metric, whatever its limit in each phase."""
    known = {"error_rate": CANDIDATE, "p99": BASELINE, "availability": GOOD, "mismatch": THIRD}
    return known.get(metric, FOURTH)


def _limits(axis: Axes, limits: Sequence[tuple[float, bool]], label: str = "") -> None:
    for limit, is_trigger in limits:
        name = label or ("rolls back above" if is_trigger else "must be proven below")
        axis.axhline(
            limit, color=BAD if is_trigger else LIMIT, linewidth=1.1, label=name,
            linestyle=(0, (1, 1.5)) if is_trigger else (0, (5, 3)),
        )  # fmt: skip
    axis.yaxis.set_major_formatter(_percent)


def _is_trigger(statement: str) -> bool:
    return ">" in statement


def _grow(axis: Axes, values: Sequence[float]) -> None:
    """Makes room for the values; panels share the axis, so what another one needed stays."""
    top = axis.get_ylim()[1] if not axis.get_autoscaley_on() else 0.0
    top = max(top, 1.25 * max(values, default=0.01))
    # A little below zero, for a line at zero is news and must be seen.
    axis.set_ylim(-0.03 * top, top)


def _rates(events: Sequence[int], trials: Sequence[int]) -> list[float]:
    return [event / trial if trial else math.nan for event, trial in zip(events, trials, strict=True)]


def _settled(events: Sequence[int], trials: Sequence[int]) -> list[float]:
    """Rates that the axis must hold: not those of the first few requests, of which one failure would be a tower."""
    enough = min(_ENOUGH_REQUESTS, max(trials, default=0))
    return [event / trial for event, trial in zip(events, trials, strict=True) if trial and trial >= enough]


def _known(values: Sequence[float]) -> list[float]:
    return [value for value in values if not math.isnan(value)]


def _last(values: Sequence[float]) -> str:
    known = _known(values)
    return _percent(known[-1]) if known else "without traffic"


def share_text(panels: Sequence[Panel]) -> str:
    """What `draw_share` shows, in words."""
    steps = "; ".join(
        f"{panel.name} {words.share(panel.share_steps[0][1])} for {words.span(panel.end_seconds)}"
        + (", then 0 %" if panel.share_steps[-1][1] == 0 and len(panel.share_steps) > 1 else "")
        for panel in panels
    )
    return f"The candidate's share of learners, phase by phase: {steps}."


def error_text(panels: Sequence[Panel]) -> str:
    """What `draw_errors` shows, in words."""
    ends = "; ".join(
        f"{panel.name} candidate {_last(_rates(panel.candidate.errors, panel.candidate.requests))}, "
        f"baseline {_last(_rates(panel.baseline.errors, panel.baseline.requests))}"
        for panel in panels
    )
    return f"Error rate of candidate and baseline against the limits. At the end of each phase: {ends}."


def slow_text(panels: Sequence[Panel]) -> str:
    """What `draw_slow` shows, in words."""
    ends = "; ".join(
        f"{panel.name} candidate {_last(_rates(panel.candidate.slower.get(limit, []), panel.candidate.requests))} "
        f"above {limit * 1000:g} ms"
        for panel in panels
        for limit, _ in panel.slower_limits
    )
    return f"Share of requests slower than each latency limit, against what the limit allows. At the end: {ends}."


def proof_text(panels: Sequence[Panel]) -> str:
    """What `draw_proof` shows, in words."""
    parts = []
    for panel in panels:
        proven = [text for text, values in panel.progress.items() if (_known(values) or [0.0])[-1] >= 1]
        parts.append(f"{panel.name}: {', '.join(proven) or 'nothing'} proven")
    return f"Logarithm of each criterion's e-value over its threshold; at 1 it is proven. {'; '.join(parts)}."
