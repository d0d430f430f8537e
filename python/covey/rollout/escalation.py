"""A hold that nobody looks after: who is called next. A function of the journal and its times alone."""

from __future__ import annotations

from covey.rollout.draft import Draft
from covey.rollout.model import RolloutState, State
from covey.rollout.units import seconds_of
from covey.v1.journal_pb2 import HoldEscalated
from covey.v1.rollout_spec_pb2 import OnCall

Step = tuple[HoldEscalated.Level.ValueType, str]


def call_chain(on_call: OnCall) -> list[Step]:
    """Who is called after the primary, in order; whoever is not named is left out."""
    chain = [
        (HoldEscalated.LEVEL_SECONDARY, on_call.secondary),
        (HoldEscalated.LEVEL_ESCALATION, on_call.escalation),
    ]
    return [(level, name) for level, name in chain if name]


def due_step(state: RolloutState) -> Step | None:
    """Who is to be called at the last look; None where nobody is.

    A hold of the calendar waits for a date and for nobody's help. The primary is told of the hold itself. The wait is
    counted by the times of looks; where a clock was set back meanwhile by observed time, which comes an interval later.
    """
    on_call = state.spec.on_call
    after = seconds_of(on_call.escalate_after)
    held, at = state.held_since, state.last_tick_at
    unattended = state.state == State.STATE_HOLDING and not state.waits_for_calendar and not state.acknowledged_by
    if not unattended or after <= 0 or held is None or at is None:
        return None
    chain = call_chain(on_call)
    done = state.escalation_count
    waited = max((at - held).total_seconds(), state.held_seconds - state.tick_interval_seconds)
    if done >= len(chain) or waited < (done + 1) * after:
        return None
    return chain[done]


def escalate(draft: Draft) -> None:
    """Adds the call that is due, one at a look."""
    if step := due_step(draft.state):
        level, name = step
        draft.add(
            escalated=HoldEscalated(
                phase=draft.state.phase, level=level, on_call=name, explanation=draft.state.explanation
            )
        )
