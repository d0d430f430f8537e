"""The pages about cohort models as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from covey.report import words
from covey.v1.cohorts_pb2 import Archetype, CohortModel
from covey_dashboard.charts.traits import TraitBar

TRAITS = (
    "learning_velocity",
    "domain_affinity",
    "interaction_frequency",
    "feedback_responsiveness",
    "retention_strength",
)
_SHORT = ("velocity", "affinity", "frequency", "feedback", "retention")


@dataclass(frozen=True)
class CohortCard:
    """A cohort: its name, its size, and its profile beside everybody's."""

    archetype: str
    index: int
    learner_count: int
    share_text: str
    share: float
    bars: list[TraitBar]


@dataclass(frozen=True)
class ModelView:
    """A cohort model.

    Attributes:
        name: as one types it.
        summary: in one sentence.
        created: when.
        cohorts: by falling size.
        quality: (what, value, what it means).
        facts: (what, value).
    """

    name: str
    summary: str
    created: str
    cohorts: list[CohortCard]
    quality: list[tuple[str, str, str]]
    facts: list[tuple[str, str]]


def model_view(model: CohortModel) -> ModelView:
    """The page of a model."""
    everybody = _everybody(model)
    quality = model.quality
    told = [
        ("silhouette", f"{quality.silhouette:.3f}", "how far apart the cohorts are: 1 is far, 0 is touching"),
        ("inertia", f"{quality.inertia:,.4g}", "squared distance to the own cohort, over all learners"),
        (
            "iterations",
            words.count(quality.iteration_count),
            "until nothing moved" if quality.converged else "stopped before nothing moved",
        ),
    ]
    if quality.HasField("agreement"):
        meaning = f"with {quality.agreement_model.removeprefix('cohortModels/')}: 1 is the same cohorts, 0 is chance"
        told.append(("agreement", f"{quality.agreement:.3f}", meaning))
    return ModelView(
        name=model.name.removeprefix("cohortModels/"),
        summary=f"{words.count(model.learner_count)} learners in {len(model.cohorts)} cohorts, "
        f"from {words.count(model.event_count)} events of {model.dataset or 'no dataset'}.",
        created=words.instant(model.create_time),
        cohorts=[
            CohortCard(
                archetype=archetype(cohort.archetype),
                index=cohort.index,
                learner_count=cohort.learner_count,
                share_text=f"{100 * cohort.share:.3g} %",
                share=cohort.share,
                bars=[
                    TraitBar(short, getattr(cohort.mean_traits, trait), everybody[trait])
                    for trait, short in zip(TRAITS, _SHORT, strict=True)
                ],
            )
            for cohort in model.cohorts
        ],
        quality=told,
        facts=[
            ("engine", model.engine),
            ("as of", words.instant(model.as_of)),
            ("seed", str(model.seed)),
            (
                "trait weights",
                ", ".join(
                    f"{short} {getattr(model.trait_weights, trait):.2g}"
                    for trait, short in zip(TRAITS, _SHORT, strict=True)
                ),
            ),
        ],
    )


def archetype(value: Archetype.ValueType) -> str:
    """ARCHETYPE_FAST_LEARNER is "Fast Learner"."""
    return Archetype.Name(value).removeprefix("ARCHETYPE_").replace("_", " ").title()


def _everybody(model: CohortModel) -> dict[str, float]:
    """Means over all learners: those of the cohorts by their sizes."""
    total = sum(cohort.learner_count for cohort in model.cohorts) or 1
    return {
        trait: _weighted([(cohort.learner_count, getattr(cohort.mean_traits, trait)) for cohort in model.cohorts])
        / total
        for trait in TRAITS
    }


def _weighted(pairs: Sequence[tuple[int, float]]) -> float:
    return sum(count * value for count, value in pairs)
