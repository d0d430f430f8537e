"""What random splits say of outcomes: judged, as a table, and as data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from covey.cli.output import OutputFormat, print_data, print_table, print_text

if TYPE_CHECKING:
    from covey.stats.drift import Drift
    from covey.stats.rerandomisation import MetricCheck, RerandomisationReport

SMALLEST_UNIFORMITY_P = 0.001
"""Of an honest metric one in a thousand is below it."""


def problems_of(report: RerandomisationReport) -> list[str]:
    """What an honest test of honest data would not show, in words; none where all is well."""
    from covey.stats.drift import drift_of
    from covey.stats.rerandomisation import SRM_ALPHA, rejection_band

    found = []
    most = rejection_band(report.splits, SRM_ALPHA)[1]
    if report.srm_rejections > most:
        found.append(f"{report.srm_rejections} splits have a sample ratio mismatch, at most {most} come by chance")
    for check in report.metrics:
        if check.uniformity_p < SMALLEST_UNIFORMITY_P:
            found.append(f"{check.name}: the p values are not uniform (KS p {check.uniformity_p:.2g})")
        if not check.within_band:
            low, high = check.band
            found.append(f"{check.name}: {check.rejections} rejections where {low} to {high} come by chance")
        drift = drift_of(report, check)
        if drift is not None and not drift.equivalent:
            found.append(f"{check.name}: the measurement drifts by {drift.estimate:.2%} (margin {drift.margin:.2%})")
    return found


def report_data(report: RerandomisationReport, problems: Sequence[str]) -> dict[str, Any]:
    """The report as plain data."""
    from covey.stats.drift import drift_of

    return {
        "learner_count": report.learners,
        "split_count": report.splits,
        "candidate_share": report.share_basis_points / 10_000,
        "alpha": report.alpha,
        "injected_effect": report.injected_effect,
        "srm_rejection_count": report.srm_rejections,
        "metrics": [_metric_data(check, drift_of(report, check)) for check in report.metrics],
        "problems": list(problems),
    }


def _metric_data(check: MetricCheck, drift: Drift | None) -> dict[str, Any]:
    return {
        "name": check.name,
        "uniformity_p": check.uniformity_p,
        "rejection_count": check.rejections,
        "rejection_band": list(check.band),
        "drift": None if drift is None else drift.estimate,
        "drift_interval": None if drift is None else [drift.lower, drift.upper],
        "drift_margin": None if drift is None else drift.margin,
        "detectable_effect": check.detectable_effect if math.isfinite(check.detectable_effect) else None,
        "detection_rate": check.detection_rate,
    }


def print_report(report: RerandomisationReport, problems: Sequence[str], output: OutputFormat) -> None:
    """Print what the splits say."""
    if output is not OutputFormat.table:
        print_data(report_data(report, problems), output)
        return
    from covey.stats.drift import drift_of

    share = f"{report.share_basis_points / 100:g} %"
    print_text(f"{report.learners:,} learners, {report.splits:,} splits of {share}, no effect but chance:")
    rows = []
    for check in report.metrics:
        drift = drift_of(report, check)
        rows.append(
            [
                check.name,
                f"{check.uniformity_p:.3f}",
                f"{check.rejections} ({check.band[0]}..{check.band[1]})",
                "-" if drift is None else f"{drift.estimate:+.3%} (±{drift.margin:.3%})",
                f"{check.detectable_effect:.2%}" if math.isfinite(check.detectable_effect) else "-",
                f"{check.detection_rate:.1%}",
            ]
        )
    injected = f"{report.injected_effect * 100:+.3g}% found"
    print_table(["metric", "KS p", "rejections", "drift (margin)", "detectable", injected], rows)
    print_text(f"sample ratio mismatch: {report.srm_rejections} of {report.splits:,} splits")
    for problem in problems:
        print_text(f"problem: {problem}")
    if not problems:
        print_text("as it should be: a test of these outcomes is as honest as it says")
