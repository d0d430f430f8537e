"""The fold of a journal into what the pages show: against the report's own series, and in bounded memory."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import pytest

from covey.report.story import tell
from covey.rollout.model import IllegalEntry
from covey.rollout.questions import criterion_questions
from covey.rollout.state import apply
from covey.rollout.verdicts import judge
from covey.v1.evidence_pb2 import Verdict
from covey_dashboard import record as record_module
from covey_dashboard.record import Record
from covey_dashboard.tracks import SAMPLES, TrackMaker


def recorded(journal: list[Any]) -> Record:
    record = Record()
    for entry in journal:
        record.add(entry)
    return record


def test_the_story_and_the_phases_are_those_of_the_journal(done: Any) -> None:
    history = recorded(done.journal).history()
    assert list(history.events) == tell(done.journal)
    assert [phase.name for phase in history.phases] == ["canary", "ramp", "rollout"]
    assert [phase.steps[0].share_bp for phase in history.phases] == [1000, 5000, 10_000]
    assert all(phase.is_over for phase in history.phases)
    assert history.state == done.state


def test_a_rollback_is_a_step_to_nothing_and_a_mark(back: Any) -> None:
    history = recorded(back.journal).history()
    ramp = history.phases[-1]
    assert [step.share_bp for step in ramp.steps] == [5000, 0]
    assert {"held", "rollback_started", "finished"} <= {mark.kind for mark in ramp.marks}


def test_samples_are_what_the_gates_said_at_that_look(done: Any) -> None:
    """The second route: every tick of the first phase, judged in full by `judge`."""
    tracks = recorded(done.journal).history().phases[0].tracks
    state, expected, begin = None, dict[str, list[Verdict]](), None
    for entry in done.journal:
        kind = entry.WhichOneof("payload")
        state = apply(state, entry)
        if kind == "phase_entered" and begin is not None:
            break
        begin = entry.time if kind == "phase_entered" else begin
        if kind == "tick" and begin is not None:
            for verdict in judge(state, criterion_questions(state)):
                expected.setdefault(verdict.statement, []).append(verdict)
    assert tracks.keys() == expected.keys()
    for statement, samples in tracks.items():
        assert len(samples) == len(expected[statement]) == 61
        for sample, verdict in zip(samples, expected[statement], strict=True):
            for name in ("estimate", "lower", "upper"):
                known = getattr(verdict, name) if verdict.HasField(name) else math.nan
                assert getattr(sample, name) == pytest.approx(known, abs=1e-8, nan_ok=True)
            assert (sample.log_e, sample.log_threshold) == (verdict.log_e_value, verdict.log_threshold)


def test_probes_and_replicas_are_counted(held: Any) -> None:
    history = recorded(held.journal).history()
    looks = sum(entry.HasField("tick") for entry in held.journal) - 1  # one before the first phase
    assert {probe.variant: probe.answered for probe in history.probes} == {
        "variants/native": 2 * looks,
        "variants/reference": 2 * looks,
    }
    assert history.replicas == {"127.0.0.1:50051": 1000}


def test_an_entry_out_of_order_is_refused_and_changes_nothing(held: Any) -> None:
    journal = held.journal
    record = recorded(journal[:10])
    before = record.history()
    with pytest.raises(IllegalEntry, match="does not follow"):
        record.add(journal[11])
    assert record.last_sequence == 10
    assert record.history() == before


def test_long_phases_and_long_stories_stay_small(worlds: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_module, "EVENTS_KEPT", 5)
    world = worlds.World(worlds.Traffic(requests_per_second=0.0))
    world.start()
    world.run(900)  # holds after 10 min, and is rolled back after 20
    journal = world.journal
    ticks = [entry for entry in journal if entry.HasField("tick")]
    record = recorded(journal)
    history = record.history()
    assert len(history.events) == 5
    assert history.older_event_count == len(tell(journal)) - 5
    assert len(ticks) > 80


def test_a_track_keeps_its_ends_and_half_of_the_rest() -> None:
    track = TrackMaker("error_rate < 1 %")
    count = 0
    for look in range(7 * SAMPLES):
        track.add(float(look), Verdict(event_count=1, trial_count=1000 + look, alpha=0.05, estimate=1 / (1000 + look)))
        count += 1
        if count >= 2 * SAMPLES:
            track.thin()
            count = (count + 1) // 2
        assert count < 2 * SAMPLES
    samples = track.samples()
    assert SAMPLES <= len(samples) < 2 * SAMPLES
    assert samples[-1].seconds == 7 * SAMPLES - 1
    assert all(sample.lower <= sample.estimate <= sample.upper for sample in samples)


def test_without_trials_there_is_no_interval() -> None:
    track = TrackMaker("availability > 99 %")
    track.add(0.0, Verdict(alpha=0.05))
    track.add(1.0, Verdict(event_count=1, trial_count=100, alpha=0.05, estimate=0.99))
    first, second = track.samples()
    assert math.isnan(first.lower)
    assert second.lower < 0.99 < second.upper <= 1.0
