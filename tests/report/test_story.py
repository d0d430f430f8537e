"""Every kind of journal entry is told in a sentence."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from covey.report import story
from covey.v1 import evidence_pb2, journal_pb2
from covey.v1.journal_pb2 import Entry

PASSED = evidence_pb2.Verdict(role=evidence_pb2.Verdict.ROLE_CRITERION, result=evidence_pb2.Verdict.RESULT_PASS)
OPEN = evidence_pb2.Verdict(
    role=evidence_pb2.Verdict.ROLE_CRITERION, result=evidence_pb2.Verdict.RESULT_INSUFFICIENT, statement="p99 < 1 s"
)
QUIET = evidence_pb2.Verdict(role=evidence_pb2.Verdict.ROLE_TRIGGER, result=evidence_pb2.Verdict.RESULT_INSUFFICIENT)


def entry(**payload: object) -> Entry:
    made = Entry(sequence=3, actor="ada", reason="because", **payload)  # type: ignore[arg-type]
    made.time.FromDatetime(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    return made


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (entry(started=journal_pb2.RolloutStarted()), "started"),
        (
            entry(approval_awaited=journal_pb2.ApprovalAwaited(phase="ramp", missing_roles=["product", "finance"])),
            "phase ramp waits for approval by product, finance",
        ),
        (
            entry(
                phase_entered=journal_pb2.PhaseEntered(
                    phase="ramp", candidate_weight_bp=1000, verdicts=[PASSED, PASSED, OPEN, QUIET]
                )
            ),
            "phase ramp begins: 10 % of learners to the candidate (2 PASS, 1 INSUFFICIENT)",
        ),
        (
            entry(tick=journal_pb2.Tick(absences=[evidence_pb2.Absence()])),
            "a look at 0 replica(s), 0 s observed, 1 metric(s) absent",
        ),
        (
            entry(checkpoint=journal_pb2.CheckpointReached(phase="canary", verdicts=[PASSED])),
            "checkpoint at 0 s of phase canary (1 PASS)",
        ),
        (
            entry(held=journal_pb2.PhaseHeld(phase="canary", explanation="It needs more.")),
            "phase canary holds: It needs more",
        ),
        (entry(released=journal_pb2.PhaseReleased(phase="canary")), "phase canary goes on"),
        (entry(paused=journal_pb2.RolloutPaused()), "paused; triggers go on"),
        (entry(resumed=journal_pb2.RolloutResumed()), "resumed"),
        (
            entry(promoted=journal_pb2.PhasePromoted(phase="canary", overridden_verdicts=[OPEN])),
            "phase canary promoted by hand, overriding p99 < 1 s",
        ),
        (entry(promoted=journal_pb2.PhasePromoted(phase="canary")), "phase canary promoted by hand"),
        (entry(postponed=journal_pb2.PhasePostponed(phase="ramp")), "phase ramp postponed to 1970-01-01 00:00:00Z"),
        (entry(approved=journal_pb2.PhaseApproved(phase="ramp", role="finance")), "finance approves phase ramp"),
        (
            entry(approved=journal_pb2.PhaseApproved(phase="ramp", role="finance", statement="revenue > -3 %")),
            "finance approves the open question 'revenue > -3 %'",
        ),
        (entry(denied=journal_pb2.PhaseDenied(phase="ramp", role="finance")), "finance denies phase ramp"),
        (
            entry(revoked=journal_pb2.ApprovalRevoked(phase="ramp", role="finance")),
            "finance takes back the approval of phase ramp",
        ),
        (
            entry(rollback_started=journal_pb2.RollbackStarted(cause=journal_pb2.RollbackStarted.CAUSE_CRASH_LOOP)),
            "rollback, the candidate's share is 0 at once: "
            "the server crashed repeatedly while the candidate had traffic",
        ),
        (
            entry(
                finished=journal_pb2.RolloutFinished(
                    outcome=journal_pb2.RolloutFinished.OUTCOME_ROLLED_BACK,
                    read_back=[evidence_pb2.ReplicaReading(replica="a"), evidence_pb2.ReplicaReading(replica="b")],
                )
            ),
            "ended: ROLLED BACK; share read back as 0 % on a, 0 % on b",
        ),
        (
            entry(
                incident_reported=journal_pb2.IncidentReported(incident_id="INC-1", critical=True, description="Down.")
            ),
            "critical incident INC-1 reported: Down",
        ),
        (entry(incident_resolved=journal_pb2.IncidentResolved(incident_id="INC-1")), "incident INC-1 resolved"),
        (entry(), "an entry that this version does not know (unknown)"),
    ],
)
def test_an_entry_is_a_sentence(made: Entry, text: str) -> None:
    event = story.event(made)
    assert event.text == text
    assert (event.sequence, event.time, event.actor, event.reason) == (3, "2026-01-02 03:04:05Z", "ada", "because")


def test_every_payload_has_its_sentence() -> None:
    for field in Entry.DESCRIPTOR.oneofs_by_name["payload"].fields:
        made = Entry()
        getattr(made, field.name).SetInParent()
        assert "does not know" not in story.event(made).text, field.name


def test_every_cause_has_words() -> None:
    for name, number in journal_pb2.RollbackStarted.Cause.items()[1:]:
        words = story.cause(number)
        assert words
        assert words != name


def test_ticks_are_left_out_unless_asked_for() -> None:
    journal = [entry(started=journal_pb2.RolloutStarted()), entry(tick=journal_pb2.Tick())]
    assert [event.kind for event in story.tell(journal)] == ["started"]
    assert [event.kind for event in story.tell(journal, ticks=True)] == ["started", "tick"]


def test_a_controller_is_named_with_its_epoch() -> None:
    made = entry(tick=journal_pb2.Tick())
    made.epoch = 4
    assert story.event(made).actor == "ada, epoch 4"
