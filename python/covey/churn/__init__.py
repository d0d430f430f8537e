"""Who is about to leave: features that never look ahead, calibrated models without pickle, scores with reasons."""

from __future__ import annotations

from covey.churn.definition import Definition
from covey.churn.model import ChurnModel, load_model, save_model
from covey.churn.panel import Panel, panel
from covey.churn.scoring import Scores, score
from covey.churn.training import Kind, train

__all__ = ["ChurnModel", "Definition", "Kind", "Panel", "Scores", "load_model", "panel", "save_model", "score", "train"]
