"""Playbooks, scores and actions between the wire and the library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import MessageToDict

from covey.errors import InputError
from covey.interventions import Candidates, Playbook
from covey.interventions.playbook import DEFAULT_HOLDOUT_SHARE
from covey.v1 import interventions_pb2
from covey_server.catalogue.names import checked_learner_id
from covey_server.decoding import microseconds_of
from covey_server.errors import invalid
from covey_server.interventions.tables import DONE, EXPIRED, GIVEN_UP, WAITING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from covey.v1 import churn_pb2

_Action = interventions_pb2.InterventionAction
STATES = {
    _Action.STATE_UNSPECIFIED: WAITING,
    _Action.STATE_WAITING: WAITING,
    _Action.STATE_DONE: DONE,
    _Action.STATE_GIVEN_UP: GIVEN_UP,
    _Action.STATE_EXPIRED: EXPIRED,
}


def playbook_of(message: interventions_pb2.Playbook) -> Playbook:
    """The library's playbook, of which equal files have the same digest.

    Raises:
        CallError: INVALID_ARGUMENT for a value out of range, or a parameter that is no JSON.
    """
    for field in ("limit_per_learner", "cool_down_days", "outcome_days", "valid_days"):
        if getattr(message, field) < 0:
            raise invalid(f"playbook.{field}", f"{getattr(message, field)} is below 0")
    try:
        return Playbook(
            message.name,
            message.min_probability,
            message.action,
            _whole(MessageToDict(message.parameters)),
            tuple(message.reasons),
            message.limit_per_learner or 3,
            message.cool_down_days or 14,
            message.holdout_share if message.HasField("holdout_share") else DEFAULT_HOLDOUT_SHARE,
            message.outcome_days or 28,
            message.valid_days or None,
        )
    except ValueError as error:  # an InputError, or of a number that JSON does not know
        raise invalid("playbook", str(error)) from None


def candidates_of(as_of_us: int, scores: Iterable[churn_pb2.ChurnScore], field: str) -> Candidates:
    """Scores to plan from.

    Raises:
        CallError: INVALID_ARGUMENT for a learner without id or twice, or a probability that is none.
    """
    given = list(scores)
    for number, own in enumerate(given):
        place = f"{field}.scores[{number}].learner_id"
        if "\0" in checked_learner_id(own.learner_id, place):
            raise invalid(place, "holds a zero character, which no database keeps in a text")
    try:
        return Candidates(
            as_of_us,
            [own.learner_id for own in given],
            [own.probability for own in given],
            [[reason.code for reason in own.reasons] for own in given],
            [own.variant for own in given],
        )
    except InputError as error:
        raise invalid(f"{field}.scores", str(error)) from None


def given_candidates(scores: interventions_pb2.InterventionScores) -> Candidates:
    """Scores that a request brings.

    Raises:
        CallError: INVALID_ARGUMENT; see `candidates_of`, or without an instant.
    """
    if not scores.HasField("as_of"):
        raise invalid("scores.as_of", "is required: the instant of the scores")
    return candidates_of(microseconds_of(scores.as_of, "scores.as_of"), scores.scores, "scores")


def action_message(row: Any, state: str) -> interventions_pb2.InterventionAction:
    """An action as it is listed."""
    number = next(known for known, name in STATES.items() if known and name == state)
    message = _Action(key=row.key, playbook=row.playbook, learner_id=row.learner_id, state=number, body=row.body)
    message.as_of.FromMicroseconds(row.as_of_us)
    return message


def _whole(value: Any) -> Any:
    """The same with whole numbers as integers, as YAML reads them: a Struct knows floats alone."""
    if isinstance(value, dict):
        return {key: _whole(own) for key, own in value.items()}
    if isinstance(value, list):
        return [_whole(own) for own in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
