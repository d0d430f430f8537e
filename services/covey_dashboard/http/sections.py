"""The parts of the live pages, rendered once for all who look."""

from __future__ import annotations

from collections import OrderedDict

from starlette.concurrency import run_in_threadpool

from covey_dashboard.following import Follower
from covey_dashboard.http.desk import Desk
from covey_dashboard.offers import offers
from covey_dashboard.sessions import Session
from covey_dashboard.view.rollouts import RolloutView, rollout_items, rollout_view

_KEPT = 32
# Ages in sentences, such as of a controller's silence, are as coarse as this.
_SECONDS_KEPT = 5


class Sections:
    """Renders; what several people look at is rendered once.

    Args:
        desk: the rooms.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._made: OrderedDict[tuple[str, int, int], tuple[RolloutView | None, dict[str, str]]] = OrderedDict()

    async def listing(self) -> dict[str, str]:
        """Parts of the list."""
        desk, listed = self._desk, self._desk.listing.listed
        key = ("", listed.version, self._moment())
        if key not in self._made:
            items = rollout_items(listed.rollouts, desk.clock())
            self._keep(key, None, await run_in_threadpool(desk.pages.list_parts, items))
        return self._with_server(self._made[key][1])

    async def rollout(self, follower: Follower, session: Session) -> tuple[RolloutView, dict[str, str]]:
        """The view of a rollout that was reached, and the parts of its page for one person."""
        desk, seen = self._desk, follower.seen
        assert seen.rollout is not None
        key = (follower.name, seen.version, self._moment())
        if key not in self._made:
            view = await run_in_threadpool(rollout_view, seen.rollout, seen.history, desk.clock())
            self._keep(key, view, await run_in_threadpool(desk.pages.rollout_parts, view))
        found, parts = self._made[key]
        assert found is not None
        own = []
        if seen.history is not None:
            own = await run_in_threadpool(offers, seen.history.state, seen.rollout, session.person, desk.clock())
        return found, self._with_server(parts | desk.pages.button_parts(own, follower.name, session.person))

    def _with_server(self, parts: dict[str, str]) -> dict[str, str]:
        return {"server": self._desk.pages.server_part(self._desk.listing.listed.server), **parts}

    def _moment(self) -> int:
        return int(self._desk.clock().timestamp()) // _SECONDS_KEPT

    def _keep(self, key: tuple[str, int, int], view: RolloutView | None, parts: dict[str, str]) -> None:
        self._made[key] = (view, parts)
        while len(self._made) > _KEPT:
            self._made.popitem(last=False)
