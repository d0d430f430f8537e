"""The pages of cohort models."""

from __future__ import annotations

from itertools import islice

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from covey.client import CallFailed
from covey.v1.cohorts_pb2 import CohortModel
from covey_dashboard.http.desk import Desk, for_people, status_of
from covey_dashboard.sessions import Session
from covey_dashboard.view.models import model_view

MOST_MODELS = 50


async def _models(desk: Desk, request: Request, session: Session) -> Response:
    """The newest models."""

    def read() -> list[CohortModel]:
        with desk.client_of(session) as client:
            return list(islice(client.list_cohort_models(), MOST_MODELS + 1))

    found = await run_in_threadpool(read)
    views = [model_view(model) for model in found[:MOST_MODELS]]
    return desk.page(request, "models", session, here="models", models=views, more=len(found) > MOST_MODELS)


async def _model(desk: Desk, request: Request, session: Session) -> Response:
    """One model."""

    def read() -> CohortModel:
        with desk.client_of(session) as client:
            return client.get_cohort_model(request.path_params["name"])

    try:
        model = await run_in_threadpool(read)
    except CallFailed as failure:
        return desk.message(
            request, session, status_of(failure), "It cannot be shown", failure.message, back="/models"
        )  # fmt: skip
    return desk.page(request, "model", session, here="models", view=model_view(model))


models = for_people(_models)
model = for_people(_model)
