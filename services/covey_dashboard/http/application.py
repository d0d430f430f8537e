"""Paths and what answers them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from importlib.resources import files

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from covey_dashboard.http import acting, login, models
from covey_dashboard.http.desk import Desk, desk_of
from covey_dashboard.http.guard import Guard
from covey_dashboard.http.rollouts import RolloutPages

_STATIC = {
    "palette.css": ("covey.report", "palette.css", "text/css"),
    "dashboard.css": ("covey_dashboard", "static/dashboard.css", "text/css"),
    "dashboard.js": ("covey_dashboard", "static/dashboard.js", "text/javascript"),
    "icon.svg": ("covey_dashboard", "static/icon.svg", "image/svg+xml"),
}


def application(desk: Desk, hosts: Iterable[str]) -> ASGIApp:
    """The whole dashboard as ASGI.

    Args:
        desk: the rooms.
        hosts: names by which browsers may call it.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        desk.news.open()
        yield

    rollouts = RolloutPages(desk)
    contents = {
        name: (files(package).joinpath(path).read_bytes(), kind) for name, (package, path, kind) in _STATIC.items()
    }

    async def static(request: Request) -> Response:
        found = contents.get(request.path_params["name"])
        if found is None:
            return PlainTextResponse("there is no such file\n", status_code=404)
        # Asked again every time, and small: a new version of the dashboard is seen at once.
        return Response(found[0], media_type=found[1], headers={"cache-control": "no-cache"})

    app = Starlette(
        routes=[
            Route("/", rollouts.listing),
            Route("/events", rollouts.listing_events),
            Route("/rollouts/{name}", rollouts.rollout),
            Route("/rollouts/{name}/events", rollouts.rollout_events),
            Route("/rollouts/{name}/{verb}", acting.ask, methods=["GET"]),
            Route("/rollouts/{name}/{verb}", acting.act, methods=["POST"]),
            Route("/models", models.models),
            Route("/models/{name}", models.model),
            Route("/login", login.show, methods=["GET"]),
            Route("/login", login.log_in, methods=["POST"]),
            Route("/logout", login.log_out, methods=["POST"]),
            Route("/static/{name}", static),
            Route("/healthz", _health),
        ],
        middleware=[Middleware(Guard, hosts=hosts, speaks_tls=desk.speaks_tls)],
        exception_handlers={404: _not_found, 405: _not_found},
        lifespan=lifespan,
    )
    app.state.desk = desk
    return app


async def _health(request: Request) -> Response:
    """For load balancers: the dashboard serves, whether or not the server does."""
    is_reached = desk_of(request).listing.listed.server.is_reached
    return PlainTextResponse(f"serving; server {'reached' if is_reached else 'not reached'}\n")


async def _not_found(request: Request, error: Exception) -> Response:
    return PlainTextResponse("there is nothing here; begin at /\n", status_code=getattr(error, "status_code", 404))
