"""What the endpoints share: the rooms of the dashboard, and who asks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

import grpc
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from covey.client import CallFailed, Client
from covey_dashboard.following import Followers
from covey_dashboard.gateway import Gateway
from covey_dashboard.http.guard import FormError
from covey_dashboard.listing import Listing
from covey_dashboard.news import News
from covey_dashboard.pages import Pages
from covey_dashboard.person import person_of
from covey_dashboard.sessions import Session, Sessions
from covey_dashboard.verbs import VERBS

_STATUS = {
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 409,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 503,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}


@dataclass
class Desk:
    """The rooms.

    Attributes:
        gateway: to the server.
        listing: of all rollouts, and whether the server answers.
        followers: of the rollouts that people look at.
        sessions: who is logged in.
        news: wakes streams.
        pages: HTML.
        clock: the time, aware.
        cookie: name of the session's cookie.
        speaks_tls: whether cookies are for TLS only.
        is_stopping: streams end.
    """

    gateway: Gateway
    listing: Listing
    followers: Followers
    sessions: Sessions
    news: News
    pages: Pages
    clock: Callable[[], datetime]
    cookie: str
    speaks_tls: bool
    is_stopping: bool = False

    def client_of(self, session: Session) -> Client:
        """A client that calls as the person of a session."""
        if session.token:
            return self.gateway.of_token(session.token)
        return self.gateway.of_name(session.person.name)

    async def session_of(self, request: Request) -> Session | None:
        """Who asks; None for nobody that is known (any more)."""
        self.listing.touch()
        return await self.checked(request.cookies.get(self.cookie, ""))

    async def checked(self, session_id: str) -> Session | None:
        """The session of a cookie, and from time to time whether the server still knows its person."""
        session = self.sessions.find(session_id) if session_id else None
        if session is None or not self.sessions.is_stale(session):
            return session
        try:
            with self.client_of(session) as client:
                caller = await run_in_threadpool(client.get_caller)
        except CallFailed as failure:
            if failure.code in {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}:
                self.sessions.close(session.id)
                return None
            # A server that is away knows nobody; what it said last stands, and everything is marked as old.
            return session
        return self.sessions.confirm(session, person_of(caller))

    def page(
        self, request: Request, template: str, session: Session | None, status: int = 200, **values: Any
    ) -> Response:
        """A page for whoever asks."""
        done = VERBS.get(request.query_params.get("done", ""))
        html = self.pages.page(
            template,
            now=self.clock(),
            person=session.person if session else None,
            form_token=session.form_token if session else values.pop("form_token", ""),
            notice=f"{done.label}: recorded." if done and request.method == "GET" else "",
            **values,
        )
        return HTMLResponse(html, status_code=status)

    def message(
        self,
        request: Request,
        session: Session | None,
        status: int,
        title: str,
        text: str,
        remedy: str = "",
        back: str = "/",
    ) -> Response:
        """A page that says one thing."""
        return self.page(request, "message", session, status, title=title, text=text, remedy=remedy, back=back)


Endpoint = Callable[[Request], Awaitable[Response]]
ForPeople = Callable[[Desk, Request, Session], Awaitable[Response]]


def desk_of(request: Request) -> Desk:
    """The desk of the application that serves a request."""
    desk: Desk = request.app.state.desk
    return desk


def for_people(serve: ForPeople) -> Endpoint:
    """An endpoint for who is logged in; everybody else is asked to."""

    async def endpoint(request: Request) -> Response:
        desk = desk_of(request)
        session = await desk.session_of(request)
        if session is None:
            return _stranger(desk, request)
        try:
            return await serve(desk, request, session)
        except FormError as error:
            return desk.message(request, session, 400, "That did not work", str(error))
        except CallFailed as failure:
            return desk.message(
                request, session, status_of(failure), "That did not work", failure.message, failure.remedy
            )

    return endpoint


def status_of(failure: CallFailed) -> int:
    """The HTTP status that says what a failed call says."""
    return _STATUS.get(failure.code, 502)


def _stranger(desk: Desk, request: Request) -> Response:
    if request.method == "POST":
        return desk.message(
            request, None, 401, "You are logged out", "Nothing was done: your session is over. Log in and do it again.",
            back="/login",
        )  # fmt: skip
    if request.headers.get("sec-fetch-site") == "cross-site" and request.headers.get("sec-fetch-mode") == "navigate":
        # A link from elsewhere, such as an alert: the browser keeps the strict cookie back. Asked again from here, it
        # sends the cookie if there is one.
        return Response(status_code=200, headers={"refresh": "0"}, media_type="text/html")
    here = request.url.path
    return RedirectResponse(f"/login?next={quote(here)}" if here != "/" else "/login", status_code=303)
