"""ScoreChurn: the request as arguments of the library, its answer as a message."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import numpy as np

from covey.churn.model import ChurnModel, load_model
from covey.churn.scoring import Scores, score
from covey.v1 import churn_pb2
from covey_server.errors import CallError, invalid
from covey_server.studies.fields import instant_of

if TYPE_CHECKING:
    from covey.events import Events

FOLDER = "churn-models"
_NAME = re.compile(r"churnModels/([A-Za-z0-9][A-Za-z0-9._-]{0,99})@([1-9][0-9]{0,8})")
_DEFAULT_COUNT = 100
_MOST_LEARNERS = 10_000


def score_churn(
    request: churn_pb2.ScoreChurnRequest, events: Callable[[], Events], threads: int, models: Path
) -> churn_pb2.ScoreChurnResponse:
    """Score and answer.

    Args:
        request: what is asked.
        events: loads them, once the request is known to be sound.
        threads: at most so many.
        models: folder of the models.

    Raises:
        CallError: INVALID_ARGUMENT for a field out of range, NOT_FOUND for a model, FAILED_PRECONDITION for one that
            cannot be used, such as one trained on other traits.
        InputError: the request does not fit the events.
    """
    if not 0 <= request.count <= _MOST_LEARNERS:
        raise invalid("count", f"{request.count} is not 0 to {_MOST_LEARNERS}")
    found = _scored(request, events, threads, models)
    return _message(found, request.count or _DEFAULT_COUNT, request.min_probability)


def candidates(
    request: churn_pb2.ScoreChurnRequest, events: Callable[[], Events], threads: int, models: Path
) -> churn_pb2.ScoreChurnResponse:
    """Score and answer with every learner from `min_probability` on, for a plan: it stays in the server.

    Raises:
        CallError, InputError: as `score_churn`.
    """
    found = _scored(request, events, threads, models)
    return _message(found, len(found), request.min_probability)


def _scored(request: churn_pb2.ScoreChurnRequest, events: Callable[[], Events], threads: int, models: Path) -> Scores:
    if not 0 <= request.min_probability <= 1:
        raise invalid("min_probability", f"{request.min_probability:g} is not 0 to 1")
    if not 0 <= request.candidate_weight_bp <= 10_000:
        raise invalid("candidate_weight_bp", f"{request.candidate_weight_bp} is not 0 to 10000")
    if request.candidate_weight_bp and not request.candidate_model:
        raise invalid("candidate_weight_bp", "there is a share, and no candidate_model")
    if request.candidate_weight_bp and not request.salt:
        raise invalid("salt", "there is a share, and no salt: the same learners would come first with every candidate")
    as_of_us = instant_of(request.as_of, "as_of", request.HasField("as_of"))
    model = _model(request.model, "model", models)
    candidate = _model(request.candidate_model, "candidate_model", models) if request.candidate_model else None
    return score(
        model,
        events(),
        as_of_us,
        candidate=candidate,
        weight_bp=request.candidate_weight_bp,
        salt=request.salt,
        threads=threads,
    )


def _model(name: str, field: str, folder: Path) -> ChurnModel:
    parts = _NAME.fullmatch(name)
    if parts is None:
        raise invalid(field, f"'{name}' is not of the form churnModels/NAME@VERSION")
    path = folder / f"{parts[1]}@{parts[2]}.json"
    try:
        found = load_model(path)
    except FileNotFoundError:
        raise CallError(
            grpc.StatusCode.NOT_FOUND,
            f"{name} does not exist: there is no {FOLDER}/{path.name} in the data directory",
            reason="MODEL_NOT_FOUND",
        ) from None
    except (ValueError, OSError) as error:
        # The path of the file is the operator's, not the caller's.
        reason = str(error).replace(str(path), name)
        raise CallError(grpc.StatusCode.FAILED_PRECONDITION, reason, reason="MODEL_REFUSED") from None
    if (found.name, found.version) != (parts[1], int(parts[2])):
        raise CallError(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"{name} holds {found.variant}: the file was renamed",
            reason="MODEL_REFUSED",
        )
    return found


def _message(found: Scores, count: int, least: float) -> churn_pb2.ScoreChurnResponse:
    definition = found.models[0].definition
    message = churn_pb2.ScoreChurnResponse(
        learner_count=len(found),
        flagged_count=int(found.flagged.sum()),
        definition=definition.text,
        horizon_days=definition.horizon_days,
        ignored_event_count=found.ignored_event_count,
    )
    message.as_of.FromMicroseconds(found.as_of_us)
    rows = np.argsort(-found.probability, kind="stable")[:count]
    rows = rows[found.probability[rows] >= least]
    for row, reasons in zip(rows.tolist(), found.reasons(rows), strict=True):
        one = message.scores.add(
            learner_id=found.learner_ids.text(row),
            probability=float(found.probability[row]),
            is_flagged=bool(found.flagged[row]),
            variant=found.models[int(found.variant[row])].variant,
        )
        for reason in reasons:
            one.reasons.add(code=reason.code, effect=reason.effect, text=reason.text)
    return message
