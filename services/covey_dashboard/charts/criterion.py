"""One criterion over its phase: its estimate and interval against the limit, and below it ln E to its threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from covey.report import words
from covey_dashboard.charts import svg
from covey_dashboard.tracks import Sample

_WIDTH, _HEIGHT = 340.0, 176.0
_LEFT, _RIGHT = 54.0, 334.0
_TOP, _BOTTOM = 10.0, 96.0
_PROOF_TOP, _PROOF_BOTTOM = 112.0, 152.0
_AXIS = 168.0
_LOWEST_PROOF, _HIGHEST_PROOF = -0.5, 1.25


@dataclass(frozen=True)
class CriterionSeries:
    """What the picture needs.

    Attributes:
        samples: oldest first.
        limit: in the statement's unit.
        is_better_below: whether values below the limit are the good ones.
        hold_seconds: of the phase.
        unit: writes a value of the statement.
        label: the statement.
    """

    samples: Sequence[Sample]
    limit: float
    is_better_below: bool
    hold_seconds: float
    unit: str
    label: str

    def write(self, value: float) -> str:
        """A value with its unit."""
        return written(value, self.unit)


def written(value: float, unit: str) -> str:
    """A number of an axis: "1 %", "1.5 x"."""
    if unit == "%":
        return f"{100 * value:.4g} %" if 0.99 < abs(value) < 1 else f"{100 * value:.3g} %"
    return f"{value:.3g}{' x' if unit == 'x' else ''}"


def draw(series: CriterionSeries) -> Markup:
    """The picture."""
    samples = series.samples
    end = max(series.hold_seconds, samples[-1].seconds if samples else 0.0, 1e-9)
    x = svg.linear(0.0, end, _LEFT, _RIGHT)
    return svg.picture(
        _WIDTH, _HEIGHT, alternative(series), *_estimate(series, x), *_proof(series, x), *_times(series, x, end)
    )


def alternative(series: CriterionSeries) -> str:
    """What the picture says, in words."""
    if not series.samples:
        return f"{series.label}: no look in this phase yet"
    last = series.samples[-1]
    if math.isnan(last.estimate):
        said = "no data"
    else:
        said = f"estimate {series.write(last.estimate)}"
        if not math.isnan(last.lower):
            said += f", between {_end(series, last.lower)} and {_end(series, last.upper)}"
    text = f"{series.label}: {said}, limit {series.write(series.limit)}"
    if last.log_threshold > 0 and math.isfinite(last.log_threshold):
        text += f"; ln E {last.log_e:.3g} of {last.log_threshold:.3g} that prove it"
    return text


def _end(series: CriterionSeries, value: float) -> str:
    return series.write(value) if math.isfinite(value) else "anything"


def _estimate(series: CriterionSeries, x: svg.Scale) -> list[str]:
    low, high = _range(series)
    y = svg.linear(low, high, _BOTTOM, _TOP)
    limit = y(series.limit)
    wrong = (_TOP, limit) if series.is_better_below else (limit, _BOTTOM)
    xs = [x(sample.seconds) for sample in series.samples]
    lower = [_placed(y, sample.lower, low) for sample in series.samples]
    upper = [_placed(y, sample.upper, high) for sample in series.samples]
    estimates = [y(sample.estimate) if not math.isnan(sample.estimate) else math.nan for sample in series.samples]
    parts = [
        svg.element("rect", x=_LEFT, y=wrong[0], width=_RIGHT - _LEFT, height=wrong[1] - wrong[0], class_="wrong"),
        svg.element("path", d=svg.band(xs, lower, upper), class_="band"),
        svg.element("line", x1=_LEFT, x2=_RIGHT, y1=limit, y2=limit, class_="limit"),
        svg.element("path", d=svg.line(zip(xs, estimates, strict=True)), class_="estimate"),
        svg.text(series.write(series.limit), _LEFT - 6, limit + 4, "tick strong", "end"),
    ]
    parts += [
        svg.text(series.write(value), _LEFT - 6, y(value) + 4, "tick", "end")
        for value in (low, high)
        if abs(y(value) - limit) > 14
    ]
    known = [(at, here) for at, here in zip(xs, estimates, strict=True) if not math.isnan(here)]
    if known:
        parts.append(svg.element("circle", cx=known[-1][0], cy=known[-1][1], r=3.0, class_="now"))
    else:
        parts.append(svg.text("no data", (_LEFT + _RIGHT) / 2, (_TOP + _BOTTOM) / 2 + 4, "tick", "middle"))
    return parts


def _placed(y: svg.Scale, value: float, open_end: float) -> float:
    if math.isnan(value):
        return math.nan
    return y(value) if math.isfinite(value) else y(open_end)


def _range(series: CriterionSeries) -> tuple[float, float]:
    """What the axis shows: the limit, the estimates once they have settled, and the interval as it is now."""
    settled = [sample for sample in series.samples[len(series.samples) // 4 :] if not math.isnan(sample.estimate)]
    values = [sample.estimate for sample in settled]
    if settled:
        last = settled[-1]
        values += [end for end in (last.lower, last.upper) if math.isfinite(end)]
    room = abs(series.limit) if series.limit <= 0.5 or series.unit != "%" else 1 - series.limit
    room = room or 0.01
    # An interval that still is a hundred limits wide must not flatten what is seen near the limit.
    low = max(min([series.limit, *values]), series.limit - 3 * room)
    high = min(max([series.limit, *values]), series.limit + 3 * room)
    pad = max(0.12 * (high - low), 0.35 * room)
    low, high = low - pad, high + pad
    if series.unit == "%" and series.is_better_below and series.limit >= 0:
        low = 0.0
    if series.unit == "%" and not series.is_better_below and series.limit > 0:
        high = min(high, 1.0)
    return low, high


def _proof(series: CriterionSeries, x: svg.Scale) -> list[str]:
    y = svg.linear(_LOWEST_PROOF, _HIGHEST_PROOF, _PROOF_BOTTOM, _PROOF_TOP)
    points = [
        (x(sample.seconds), y(sample.log_e / sample.log_threshold))
        for sample in series.samples
        if sample.log_threshold > 0 and math.isfinite(sample.log_threshold)
    ]
    if not points:
        middle = (_PROOF_TOP + _PROOF_BOTTOM) / 2 + 4
        return [svg.text("judged by its interval", (_LEFT + _RIGHT) / 2, middle, "tick", "middle")] * bool(
            series.samples
        )
    area = [(points[0][0], y(0.0)), *points, (points[-1][0], y(0.0))]
    return [
        svg.element("path", d=svg.line(area) + "Z", class_="proof-area"),
        svg.element("line", x1=_LEFT, x2=_RIGHT, y1=y(0.0), y2=y(0.0), class_="grid"),
        svg.element("line", x1=_LEFT, x2=_RIGHT, y1=y(1.0), y2=y(1.0), class_="limit"),
        svg.element("path", d=svg.line(points), class_="proof"),
        svg.text("proven", _LEFT - 6, y(1.0) + 4, "tick strong", "end"),
        svg.text("open", _LEFT - 6, y(0.0) + 4, "tick", "end"),
    ]


def _times(series: CriterionSeries, x: svg.Scale, end: float) -> list[str]:
    hold = x(series.hold_seconds)
    parts = [
        svg.element("line", x1=hold, x2=hold, y1=_TOP, y2=_PROOF_BOTTOM, class_="hold"),
        svg.text("0", _LEFT, _AXIS, "tick", "middle"),
        svg.text(words.span(series.hold_seconds), min(hold, _RIGHT), _AXIS, "tick", "end" if hold > 290 else "middle"),
    ]
    if end > 1.15 * series.hold_seconds:
        parts.append(svg.text(words.span(round(end)), _RIGHT, _AXIS, "tick", "end"))
    return parts
