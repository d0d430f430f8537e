"""Server-sent events: the parts of a page that have changed. Few streams, each of bounded life, nothing queued."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from covey_dashboard.http.desk import Desk
from covey_dashboard.sessions import Session

MOST_STREAMS = 64
MOST_OF_ONE_SESSION = 8
LIFE_SECONDS = 600.0
BEAT_SECONDS = 5.0
"""So often something is sent, so that a browser notices a connection that died in silence."""
_SHORTEST_PAUSE_SECONDS = 0.25

Parts = Callable[[Session], Awaitable[dict[str, str]]]


class _BoundedResponse(StreamingResponse):
    """Ends also where the reader takes nothing, so that its place comes free."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LIFE_SECONDS + 4 * BEAT_SECONDS):
                await super().__call__(scope, receive, send)


class Streams:
    """The streams that are open.

    Args:
        desk: the rooms.
        most: streams at the same time.
    """

    def __init__(self, desk: Desk, most: int = MOST_STREAMS) -> None:
        self._desk = desk
        self._most = most
        self._open: Counter[str] = Counter()

    def answer(self, session: Session, topics: tuple[str, ...], parts: Parts) -> Response:
        """A stream of the parts that change with news of the topics."""
        if self._open.total() >= self._most or self._open[session.id] >= MOST_OF_ONE_SESSION:
            text = "too many pages are open; this one tries again by itself\n"
            return PlainTextResponse(text, status_code=503, headers={"retry-after": "10"})
        return _BoundedResponse(
            self._events(session, topics, parts), media_type="text/event-stream", headers={"x-accel-buffering": "no"}
        )

    async def _events(self, session: Session, topics: tuple[str, ...], parts: Parts) -> AsyncIterator[str]:
        desk = self._desk
        self._open[session.id] += 1
        end = asyncio.get_running_loop().time() + LIFE_SECONDS
        sent: dict[str, int] = {}
        try:
            yield "retry: 1000\n\n"
            with desk.news.ear(*topics) as ear:
                while not desk.is_stopping and asyncio.get_running_loop().time() < end:
                    ear.clear()
                    known = await desk.checked(session.id)
                    if known is None:
                        yield "event: ended\ndata: {}\n\n"
                        return
                    desk.listing.touch()
                    made = await parts(known)
                    changed = {name: text for name, text in made.items() if sent.get(name) != hash(text)}
                    sent |= {name: hash(text) for name, text in changed.items()}
                    now = desk.clock().isoformat(timespec="milliseconds")
                    yield f"event: parts\ndata: {json.dumps({'now': now, 'parts': changed})}\n\n"
                    await asyncio.sleep(_SHORTEST_PAUSE_SECONDS)
                    try:
                        await asyncio.wait_for(ear.wait(), BEAT_SECONDS)
                    except TimeoutError:
                        continue
        finally:
            self._open[session.id] -= 1
            if not self._open[session.id]:
                del self._open[session.id]
