"""The answers of `covey churn`: tables for people, the same as data."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from covey.churn import words
from covey.cli.output import TABLE_WIDTH, print_table, print_text
from covey.instants import instant_to_datetime

if TYPE_CHECKING:
    from covey.churn import ChurnModel, Scores
    from covey.churn.metrics import Quality
    from covey.churn.training import Trained

_HEADS = ["judged on", "rows", "left", "AUC (95 %)", "AP", "lift", "off by"]


def print_trained(found: Trained, path: Path) -> None:
    """What was learned and how it did where it had not looked."""
    _say(words.basis(found.model))
    print_text("")
    print_table(_HEADS, [words.row_of(name, own) for name, own in _judged(found)])
    print_text("")
    if found.by_time_problem:
        _say(f"Not judged on later weeks: {found.by_time_problem}.")
    best = found.by_courses[-1][1] if found.by_courses else found.by_time or found.by_learners
    _say(words.lead_text(best.lead_time, found.model.threshold))
    _say(words.accuracy_text(best))
    _say(f"Written to {path}.")


def trained_data(found: Trained, path: Path) -> dict[str, Any]:
    """The same as data."""
    model = found.model
    return {
        "model": model.variant,
        "kind": model.kind,
        "digest": model.digest,
        "trait_version": model.trait_version,
        "features": list(model.feature_names),
        "threshold": model.threshold,
        "judged_on": {name: quality_data(own) for name, own in _judged(found)},
        "by_time_problem": found.by_time_problem,
        "written_to": str(path),
    }


def print_judged(model: ChurnModel, found: Quality, name: str, folder: Path, warning: str) -> None:
    """How a model did on events."""
    _say(words.basis(model))
    print_text("")
    print_table(_HEADS, [words.row_of(name, found)])
    print_text("")
    if warning:
        _say(f"Mind: {warning}")
    _say(words.lead_text(found.lead_time, model.threshold))
    _say(words.accuracy_text(found))
    _say(f"Written to {folder}.")


def print_scores(found: Scores, top: int) -> None:
    """The learners likeliest to leave."""
    moment = instant_to_datetime(found.as_of_us).strftime("%Y-%m-%d %H:%M")
    models = " and ".join(model.variant for model in found.models)
    _say(
        f"{len(found):,} learners active in the {found.models[0].definition.active_days} days before {moment}, by "
        f"{models}: {int(found.flagged.sum()):,} flagged, {100 * float(found.probability.mean()):.1f} % expected to "
        f"leave within {found.models[0].definition.horizon_days} days."
    )
    rows = _first(found, top)
    if not len(rows):
        return
    print_text("")
    for row, reasons in zip(rows.tolist(), found.reasons(rows), strict=True):
        mark = "!" if found.flagged[row] else " "
        why = "; ".join(one.text for one in reasons) or "nothing stands out"
        line = f"{mark} {100 * found.probability[row]:5.1f} %  {found.learner_ids.text(row)}  {why}"
        print_text("\n".join(wrap(line, TABLE_WIDTH, subsequent_indent=" " * 11, drop_whitespace=True)))


def scores_data(found: Scores, top: int) -> dict[str, Any]:
    """The same as data."""
    rows = _first(found, top)
    return {
        "as_of": instant_to_datetime(found.as_of_us).isoformat(),
        "models": [model.variant for model in found.models],
        "learner_count": len(found),
        "flagged_count": int(found.flagged.sum()),
        "mean_probability": float(found.probability.mean()),
        "ignored_event_count": found.ignored_event_count,
        "learners": [
            {
                "learner_id": found.learner_ids.text(row),
                "probability": float(found.probability[row]),
                "flagged": bool(found.flagged[row]),
                "variant": found.models[int(found.variant[row])].variant,
                "reasons": [{"code": one.code, "effect": one.effect, "text": one.text} for one in reasons],
            }
            for row, reasons in zip(rows.tolist(), found.reasons(rows), strict=True)
        ],
    }


def quality_data(found: Quality) -> dict[str, Any]:
    """Every number of a quality."""
    plain = asdict(found)
    plain["bins"] = [list(own) for own in found.bins]
    plain["lead_time"] = {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in plain["lead_time"].items()
    }
    return plain


def _judged(found: Trained) -> list[tuple[str, Quality]]:
    rows = [("other learners", found.by_learners)]
    if found.by_time is not None:
        rows.append(("later weeks", found.by_time))
    return [*rows, *found.by_courses]


def _first(found: Scores, top: int) -> Any:
    return np.argsort(-found.probability, kind="stable")[:top]


def _say(text: str) -> None:
    print_text("\n".join(wrap(text, TABLE_WIDTH)))
