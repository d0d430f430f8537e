"""A folder with a report: report.md and its picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from covey.churn import pictures, words
from covey.churn.metrics import Quality, quality
from covey.churn.model import ChurnModel
from covey.churn.panel import Panel
from covey.errors import InputError
from covey.report_folder import markdown_table, write_folder


def judge(model: ChurnModel, panel: Panel) -> Quality:
    """How a model does on a panel of the question that it was trained for.

    Raises:
        InputError: another question or other traits, or one kind of outcome only.
    """
    if panel.definition != model.definition or panel.parameters != model.parameters:
        raise InputError(
            f"{model.variant} foretells another thing: {model.definition.text}",
            remedy="judge it by its own definition and trait parameters",
        )
    return quality(panel, model.probabilities(panel.features), model.threshold)


def caution(model: ChurnModel, panel: Panel) -> str:
    """A warning where a model is judged by what it learned from; empty otherwise."""
    if model.facts.get("fingerprint") != panel.fingerprint:
        return ""
    return "These are the rows that it was trained on: it looks better here than it is. Judge it by other events."


def write_report(
    model: ChurnModel, panel: Panel, folder: Path, name: str, ablation: Sequence[tuple[str, Quality]] = ()
) -> Quality:
    """Write report.md and quality.svg; the folder is made.

    Args:
        model: to be judged.
        panel: rows with a known outcome.
        folder: where to.
        name: of the data.
        ablation: what each group of features buys, where it was asked for.

    Raises:
        InputError: as `judge`.
        OSError: the folder cannot be written.
    """
    found = judge(model, panel)
    figure = pictures.picture(found, panel.churned, model.probabilities(panel.features), f"{name}: {model.variant}")
    text = markdown(model, found, name, ablation, caution(model, panel))
    write_folder(folder, text, {"quality.svg": figure})
    return found


def markdown(
    model: ChurnModel, found: Quality, name: str, ablation: Sequence[tuple[str, Quality]] = (), warning: str = ""
) -> str:
    """The text of the report; the picture is named beside it."""
    parts = [
        "# Who is about to leave",
        words.basis(model),
        *([f"**Mind:** {warning}"] if warning else []),
        markdown_table(words.HEADS, [words.row_of(name, found)]),
        words.accuracy_text(found),
        "Limits of the AUC are 95 % and allow for a learner's weeks being alike.",
        words.lead_text(found.lead_time, model.threshold),
        "![Calibration and gains](quality.svg)",
    ]
    if ablation:
        rows = [words.row_of(f"{'+ ' if place else ''}{group}", own) for place, (group, own) in enumerate(ablation)]
        parts += ["## What each group of features buys", markdown_table(words.HEADS, rows)]
    return "\n\n".join(parts) + "\n"
