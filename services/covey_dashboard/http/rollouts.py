"""The list of rollouts, the page of one, and the events that keep both alive."""

from __future__ import annotations

import asyncio
import re

from starlette.requests import Request
from starlette.responses import Response

from covey_dashboard.following import Follower
from covey_dashboard.http.desk import Desk, for_people, status_of
from covey_dashboard.http.sections import Sections
from covey_dashboard.http.streams import Streams
from covey_dashboard.listing import TOPIC
from covey_dashboard.sessions import Session

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}\Z")
_FIRST_SECONDS = 6.0
"""How long a page waits for a journal that is read for the first time."""


class RolloutPages:
    """Endpoints.

    Args:
        desk: the rooms.
    """

    def __init__(self, desk: Desk) -> None:
        self._sections = Sections(desk)
        self._streams = Streams(desk)
        self.listing = for_people(self._listing)
        self.listing_events = for_people(self._listing_events)
        self.rollout = for_people(self._rollout)
        self.rollout_events = for_people(self._rollout_events)

    async def _listing(self, desk: Desk, request: Request, session: Session) -> Response:
        sections = await self._sections.listing()
        return desk.page(request, "rollouts", session, here="rollouts", stream="/events", sections=sections)

    async def _listing_events(self, desk: Desk, request: Request, session: Session) -> Response:
        async def parts(_: Session) -> dict[str, str]:
            return await self._sections.listing()

        return self._streams.answer(session, (TOPIC,), parts)

    async def _rollout(self, desk: Desk, request: Request, session: Session) -> Response:
        name = request.path_params["name"]
        follower = await known_follower(desk, name, with_history=True)
        refusal = refused(desk, request, session, name, follower)
        if refusal is not None or follower is None:
            return refusal or not_there(desk, request, session, name)
        view, sections = await self._sections.rollout(follower, session)
        return desk.page(
            request,
            "rollout",
            session,
            here="rollouts",
            stream=f"/rollouts/{name}/events",
            sections=sections,
            view=view,
        )

    async def _rollout_events(self, desk: Desk, request: Request, session: Session) -> Response:
        name = request.path_params["name"]
        follower = await known_follower(desk, name)
        if follower is None or follower.seen.rollout is None:
            return not_there(desk, request, session, name)

        async def parts(person: Session) -> dict[str, str]:
            current = desk.followers.follow(name)
            if current.seen.rollout is None:  # it was let go and is being read again
                return {}
            return (await self._sections.rollout(current, person))[1]

        return self._streams.answer(session, (name, TOPIC), parts)


async def known_follower(desk: Desk, name: str, *, with_history: bool = False) -> Follower | None:
    """The follower of a rollout, once it knows something; None for what is no name."""
    if not _NAME.match(name):
        return None
    follower = desk.followers.follow(name)
    end = asyncio.get_running_loop().time() + _FIRST_SECONDS
    with desk.news.ear(name) as ear:
        while (left := end - asyncio.get_running_loop().time()) > 0:
            seen = follower.seen
            if seen.failure is not None or (seen.history if with_history else seen.rollout) is not None:
                break
            # Before the first answer there may be none: the list knows whether the server is away.
            if seen.rollout is None and not desk.listing.first(0.0).server.is_reached and left < _FIRST_SECONDS - 1.5:
                break
            ear.clear()
            try:
                await asyncio.wait_for(ear.wait(), min(left, 0.5))
            except TimeoutError:
                continue
    return follower


def refused(desk: Desk, request: Request, session: Session, name: str, follower: Follower | None) -> Response | None:
    """What somebody is told about a rollout that cannot be shown; None where it can."""
    if follower is None:
        return not_there(desk, request, session, name)
    seen = follower.seen
    if seen.rollout is not None:
        return None
    if seen.failure is not None:
        failure = seen.failure
        return desk.message(request, session, status_of(failure), "It cannot be shown", failure.message, failure.remedy)
    return desk.message(
        request, session, 503, "The server does not answer",
        f"Nothing is known of {name} yet. {desk.listing.listed.server.problem}", "Load the page again in a moment.",
    )  # fmt: skip


def not_there(desk: Desk, request: Request, session: Session, name: str) -> Response:
    """For names that no rollout has."""
    return desk.message(request, session, 404, "There is no such rollout", f"No rollout is called {name[:80]}.")
