"""Buttons: a page that says what will happen and asks for the reason, and what is done when it is confirmed."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from covey.client import CallFailed
from covey.v1.rollouts_pb2 import Rollout
from covey_dashboard.calls import call
from covey_dashboard.following import Follower
from covey_dashboard.http.desk import Desk, for_people, status_of
from covey_dashboard.http.guard import form_of
from covey_dashboard.http.rollouts import known_follower, not_there, refused
from covey_dashboard.sessions import Session, same_secret
from covey_dashboard.verbs import VERBS, Verb

_REQUEST_ID = re.compile(r"[0-9a-f-]{36}\Z")
_log = logging.getLogger("covey_dashboard.acting")


async def _ask(desk: Desk, request: Request, session: Session) -> Response:
    """The confirmation: a page, or its form alone for scripts that show it in a dialog."""
    name, verb = request.path_params["name"], _verb(request)
    follower = await known_follower(desk, name)
    refusal = _may_not(desk, request, session, verb) or refused(desk, request, session, name, follower)
    if refusal is not None or follower is None:
        return refusal or not_there(desk, request, session, name)
    given = {key: value[:400] for key, value in request.query_params.items()}
    return _form(desk, request, session, verb, follower, given)


async def _act(desk: Desk, request: Request, session: Session) -> Response:
    """What was confirmed."""
    name, verb = request.path_params["name"], _verb(request)
    form = await form_of(request)
    if not same_secret(form.get("form_token", ""), session.form_token):
        text = "Nothing was done: this form is not from your session. Load the page again and press the button there."
        return desk.message(request, session, 403, "That did not work", text, back=f"/rollouts/{name}")
    follower = await known_follower(desk, name)
    refusal = _may_not(desk, request, session, verb) or refused(desk, request, session, name, follower)
    if refusal is not None or follower is None:
        return refusal or not_there(desk, request, session, name)
    problem, status = _missing(verb, form), 400
    if not problem:
        given = form.get("request_id", "")
        request_id = given if _REQUEST_ID.match(given) else str(uuid.uuid4())
        try:
            with desk.client_of(session) as client:
                await run_in_threadpool(call, client, verb.name, name, form, request_id)
        except CallFailed as failure:
            problem, status = f"{failure.message}", status_of(failure)
            _log.info(
                "refused",
                extra={"actor": session.person.name, "verb": verb.name, "rollout": name, "code": failure.code.name},
            )
        except ValueError as error:
            problem = str(error)
        else:
            _log.info("done", extra={"actor": session.person.name, "verb": verb.name, "rollout": name})
            return RedirectResponse(f"/rollouts/{name}?done={verb.name}", status_code=303)
    return _form(desk, request, session, verb, follower, form, problem, status)


ask = for_people(_ask)
act = for_people(_act)


def _verb(request: Request) -> Verb:
    verb = VERBS.get(request.path_params["verb"])
    if verb is None:
        raise HTTPException(404)
    return verb


def _may_not(desk: Desk, request: Request, session: Session, verb: Verb) -> Response | None:
    """What is told to somebody whose button it is not; the server would refuse it, too."""
    person = session.person
    if person.may(verb.method):
        return None
    roles = ", ".join(sorted(person.roles)) or "none"
    text = f"{person.name} may not do this: {verb.label} takes another role than {roles}."
    return desk.message(
        request, session, 403, "That is not yours to do", text, back=f"/rollouts/{request.path_params['name']}"
    )


def _missing(verb: Verb, form: Mapping[str, str]) -> str:
    if verb.needs_reason and not form.get("reason", "").strip():
        return "Nothing was done: say why. The journal keeps the reason."
    return ""


def _form(
    desk: Desk,
    request: Request,
    session: Session,
    verb: Verb,
    follower: Follower,
    given: Mapping[str, str],
    problem: str = "",
    status: int = 200,
) -> Response:
    rollout = follower.seen.rollout
    assert rollout is not None
    subject = {key: given[key] for key in verb.subject if given.get(key)}
    is_part = "x-covey-part" in request.headers and status == 200
    return desk.page(
        request, "confirm_part" if is_part else "confirm_page", session, status,
        verb=verb, rollout=follower.name, told=verb.told(rollout, subject), subject=subject,
        fields=_fields(verb, rollout), problem=problem, values=given,
        # Kept over a mistake that the server found: what did happen after all is then not done twice.
        request_id=given.get("request_id") or str(uuid.uuid4()),
    )  # fmt: skip


def _fields(verb: Verb, rollout: Rollout) -> dict[str, Any]:
    phases = [phase.name for phase in rollout.spec.phases]
    to_come = (
        phases[phases.index(rollout.phase) + rollout.HasField("phase_hold") :] if rollout.phase in phases else phases
    )
    return {field: to_come if field == "phase" else [] for field in verb.fields}
