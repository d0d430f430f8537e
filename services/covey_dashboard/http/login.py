"""Logging in and out."""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

import grpc
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from covey.client import CallFailed
from covey.v1.access_pb2 import Caller
from covey_dashboard.http.desk import Desk, desk_of, status_of
from covey_dashboard.http.guard import FormError, form_of
from covey_dashboard.person import person_of
from covey_dashboard.sessions import LIFE_SECONDS, same_secret

_FORM_COOKIE_SECONDS = 900
_LONGEST_NAME = 128
_READING = "ListRollouts"


async def show(request: Request) -> Response:
    """The form: a token, or a name where the server asks nobody who they are."""
    desk = desk_of(request)
    return await _form(desk, request, request.query_params.get("next", "/"))


async def log_in(request: Request) -> Response:
    """Open a session for whoever the server knows by this token."""
    desk = desk_of(request)
    try:
        form = await form_of(request)
    except FormError as error:
        return await _form(desk, request, "/", str(error), 400)
    following = form.get("next", "/")
    if not same_secret(form.get("form_token", ""), request.cookies.get(_form_cookie(desk), "")):
        return await _form(desk, request, following, "This form is too old. Try again.", 403)
    token, name = form.get("token", "").strip(), form.get("name", "").strip()
    try:
        asks_name = await _asks_name(desk)
        if asks_name and not _is_name(name):
            return await _form(desk, request, following, "Give a name of at most 128 letters.", 400)
        if not asks_name and not (token.isascii() and token.isprintable() and token):
            return await _form(desk, request, following, "That is no token.", 400)
        caller = await _caller(desk, "" if asks_name else token, name)
    except CallFailed as failure:
        return await _form(desk, request, following, _said(failure), status_of(failure))
    person = person_of(caller)
    if not person.may(_READING):
        problem = f"{person.name} may not look at rollouts: the token has none of the roles that read them."
        return await _form(desk, request, following, problem, 403)
    session = desk.sessions.open(person, "" if asks_name else token)
    answer = RedirectResponse(_own_path(following), status_code=303)
    answer.set_cookie(
        desk.cookie, session.id, max_age=int(LIFE_SECONDS), httponly=True, samesite="strict", secure=desk.speaks_tls
    )
    answer.delete_cookie(_form_cookie(desk), secure=desk.speaks_tls, httponly=True, samesite="strict")
    return answer


async def log_out(request: Request) -> Response:
    """Close the session."""
    desk = desk_of(request)
    session = await desk.session_of(request)
    if session is not None:
        try:
            form = await form_of(request)
        except FormError as error:
            return desk.message(request, session, 400, "That did not work", str(error))
        if not same_secret(form.get("form_token", ""), session.form_token):
            return desk.message(request, session, 403, "That did not work", "This form is not from your session.")
        desk.sessions.close(session.id)
    answer = RedirectResponse("/login", status_code=303)
    answer.delete_cookie(desk.cookie, secure=desk.speaks_tls, httponly=True, samesite="strict")
    return answer


async def _form(desk: Desk, request: Request, following: str, problem: str = "", status: int = 200) -> Response:
    form_token = secrets.token_urlsafe(24)
    asks_name = False
    try:
        asks_name = await _asks_name(desk)
    except CallFailed as failure:
        problem = problem or _said(failure)
    answer = desk.page(
        request, "login", None, status,
        form_token=form_token, next=_own_path(following), problem=problem, asks_name=asks_name,
    )  # fmt: skip
    answer.set_cookie(
        _form_cookie(desk), form_token, max_age=_FORM_COOKIE_SECONDS,
        httponly=True, samesite="strict", secure=desk.speaks_tls,
    )  # fmt: skip
    return answer


async def _asks_name(desk: Desk) -> bool:
    """Whether the server believes everybody's own word.

    Raises:
        CallFailed: it does not answer, or does not know the dashboard itself.
    """
    with desk.gateway.reader() as client:
        return not (await run_in_threadpool(client.get_caller)).proven


async def _caller(desk: Desk, token: str, name: str) -> Caller:
    with desk.gateway.of_token(token) if token else desk.gateway.of_name(name) as client:
        return await run_in_threadpool(client.get_caller)


def _said(failure: CallFailed) -> str:
    if failure.code is grpc.StatusCode.UNAUTHENTICATED:
        return "The server does not know this token: it is wrong, revoked or expired."
    return f"The server cannot say who you are: {failure.message}"


def _is_name(name: str) -> bool:
    return 0 < len(name) <= _LONGEST_NAME and name.isprintable()


def _own_path(path: str) -> str:
    """A path of this site; the list where it is none."""
    parts = urlsplit(path)
    is_own = not parts.scheme and not parts.netloc and path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if is_own and path.isprintable() and path.isascii() else "/"


def _form_cookie(desk: Desk) -> str:
    return f"{desk.cookie}-form"
