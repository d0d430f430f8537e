"""What the controller sees: probes, replicas, absent metrics, segments."""

from __future__ import annotations

from dataclasses import dataclass

from covey.report import words
from covey.rollout.state import RolloutState
from covey.v1.evidence_pb2 import AbsenceType
from covey.v1.rollouts_pb2 import Rollout
from covey_dashboard.history import History
from covey_dashboard.verbs import variant

SEGMENTS_SHOWN = 24
_ABSENCES_SHOWN = 12


@dataclass(frozen=True)
class ProbeRow:
    """Probes of a replica and variant in this phase."""

    replica: str
    variant: str
    answered_text: str
    last_text: str
    tone: str


@dataclass(frozen=True)
class ReplicaRow:
    """The share that a replica or router shows."""

    name: str
    share_text: str
    agrees: bool


@dataclass(frozen=True)
class SegmentRow:
    """A segment: its learners in this phase by variant, and the relative effect on each outcome."""

    name: str
    candidate_learners: int
    baseline_learners: int
    effects: list[str]
    is_excluded: bool


@dataclass(frozen=True)
class System:
    """Everything that the controller reads beside the criteria.

    Attributes:
        probes: by replica and variant.
        replicas: by name.
        absences: what the last look did not have, as sentences.
        segments: the largest of them, by learners.
        outcomes: names of the outcomes whose effects the segments have.
        hidden_segment_count: smaller ones that are not shown.
    """

    probes: list[ProbeRow]
    replicas: list[ReplicaRow]
    absences: list[str]
    segments: list[SegmentRow]
    outcomes: list[str]
    hidden_segment_count: int


def system(rollout: Rollout, history: History | None) -> System:
    """The system behind a rollout."""
    if history is None:
        return System([], [], [], [], [], 0)
    state = history.state
    segments = _segments(rollout, state)
    return System(
        probes=_probes(history),
        replicas=[
            ReplicaRow(name, words.share(weight), weight == rollout.candidate_weight_bp)
            for name, weight in sorted(history.replicas.items())
        ],
        absences=_absences(state),
        segments=segments[:SEGMENTS_SHOWN],
        outcomes=sorted(state.effects),
        hidden_segment_count=max(len(segments) - SEGMENTS_SHOWN, 0),
    )


def _probes(history: History) -> list[ProbeRow]:
    rows = []
    for probe in sorted(history.probes):
        total = probe.answered + probe.unanswered
        last = probe.last_answered + probe.last_unanswered
        tone = "bad" if probe.last_unanswered and not probe.last_answered else "wait" if probe.unanswered else "good"
        rows.append(
            ProbeRow(
                replica=probe.replica,
                variant=variant(probe.variant),
                answered_text=f"{words.count(probe.answered)} of {words.count(total)}",
                last_text=f"{words.count(probe.last_answered)} of {words.count(last)}",
                tone=tone,
            )
        )
    return rows


def _absences(state: RolloutState) -> list[str]:
    told = []
    for absence in state.absences[:_ABSENCES_SHOWN]:
        what = absence.metric or "the whole page"
        kind = AbsenceType.Name(absence.type).removeprefix("ABSENCE_TYPE_").lower().replace("_", " ")
        told.append(f"{what} of {absence.replica}: {kind}" + (f" ({absence.detail})" if absence.detail else ""))
    return [*told, *state.faults[:_ABSENCES_SHOWN]]


def _segments(rollout: Rollout, state: RolloutState) -> list[SegmentRow]:
    learners: dict[str, dict[str, int]] = {}
    for count in state.learners:
        if count.segment:
            learners.setdefault(count.segment, {})[count.variant] = count.learner_count
    names = set(learners) | {name for effects in state.effects.values() for name in effects if name}
    names |= set(rollout.excluded_segments)
    rows = []
    for name in names:
        known = [state.effects[outcome].get(name) for outcome in sorted(state.effects)]
        rows.append(
            SegmentRow(
                name=name,
                candidate_learners=learners.get(name, {}).get(rollout.spec.candidate, 0),
                baseline_learners=learners.get(name, {}).get(rollout.spec.baseline, 0),
                effects=["unknown" if effect is None else f"{100 * effect.estimate:+.3g} %" for effect in known],
                is_excluded=name in rollout.excluded_segments,
            )
        )
    return sorted(
        rows, key=lambda row: (not row.is_excluded, -row.candidate_learners - row.baseline_learners, row.name)
    )
