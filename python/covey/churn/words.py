"""Sentences and rows of tables about models, for the command line and for reports."""

from __future__ import annotations

import math

from covey.churn.metrics import LeadTime, Quality
from covey.churn.model import ChurnModel

HEADS = ("judged on", "rows", "left", "AUC", "AP", "lift", "calibration error")


def row_of(name: str, found: Quality) -> list[str]:
    """A row below `HEADS`."""
    return [
        name,
        f"{found.rows:,}",
        f"{100 * found.base_rate:.1f} %",
        f"{found.auc:.3f} ({found.auc_low:.3f}-{found.auc_high:.3f})",
        f"{found.average_precision:.3f}",
        f"{found.top_decile_lift:.1f}",
        f"{found.calibration_error:.3f}",
    ]


def basis(model: ChurnModel) -> str:
    """What the model is."""
    facts = model.facts
    return (
        f"{model.variant}, {model.kind}: {model.definition.text}. Trained on {facts['rows']:,} rows of "
        f"{facts['learner_count']:,} learners at {facts['instant_count']} instants, {facts['first_as_of']} to "
        f"{facts['last_as_of']}; {100 * facts['base_rate']:.1f} % of the rows left."
    )


def lead_text(found: LeadTime, threshold: float) -> str:
    """How early those who left were flagged."""
    flags = f"At {100 * threshold:.1f} % or more a learner is flagged."
    if not found.left_count:
        return f"{flags} Nobody was seen to leave for good, so there is no lead time."
    text = (
        f"{flags} Of {found.left_count:,} learners who left for good, {100 * found.early_share:.0f} % were first "
        f"flagged before their last event{_days(found.early_median_days)} and {100 * found.late_share:.0f} % only in "
        f"the silence after it; {100 * (1 - found.early_share - found.late_share):.0f} % never."
    )
    if not math.isnan(found.false_share):
        text += f" Of those who stayed, {100 * found.false_share:.0f} % were flagged at some time."
    return text


def accuracy_text(found: Quality) -> str:
    """Why there is no accuracy."""
    return (
        f"Foretelling that nobody leaves is right in {100 * (1 - found.base_rate):.1f} % of the rows and of no use: "
        "judge by the order (AUC, 0.5 by chance), the lift of the first tenth (1 by chance) and the calibration."
    )


def _days(median: float) -> str:
    return "" if math.isnan(median) else f" (half of them {median:.0f} days or more before)"
