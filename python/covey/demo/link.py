"""A slow line that can be cut: a TCP proxy with a delay, so that one machine has distances.

Cut, it carries nothing and says nothing, as a partition does: connections stand, new ones are made, no byte passes.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

_CHUNK_BYTES = 1 << 16
# Of the loop: more than a connection needs from being accepted to its task, and from its end to its socket's.
_TURNS = 5


class Link:
    """A line to one address; its own end listens on loopback.

    Args:
        target: host:port at the other end.
        round_trip_seconds: what it adds to a question and its answer together.
        listen_host: where its own end listens.
    """

    def __init__(self, target: str, *, round_trip_seconds: float = 0.0, listen_host: str = "127.0.0.1") -> None:
        host, _, port = target.rpartition(":")
        self._target = host.strip("[]"), int(port)
        self._delay = round_trip_seconds / 2
        self._host = listen_host
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="link", daemon=True)
        self._passes = asyncio.Event()
        self._is_over = False
        self.address = ""

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._begin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._run(self._end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """From now on nothing passes."""
        self._run(self._set_passing, False)

    def heal(self) -> None:
        """What waits passes, and what comes."""
        self._run(self._set_passing, True)

    @property
    def is_cut(self) -> bool:
        """Whether nothing passes now."""
        return not self._passes.is_set()

    def _run(self, work: Callable[..., Awaitable[Any]], *arguments: Any) -> None:
        async def run() -> None:
            await work(*arguments)

        asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    async def _set_passing(self, passes: bool) -> None:
        if passes:
            self._passes.set()
        else:
            self._passes.clear()

    async def _begin(self) -> None:
        self._passes.set()
        self._server = await asyncio.start_server(self._serve, self._host, 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        self.address = f"{host}:{port}"

    async def _end(self) -> None:
        self._is_over = True
        # asyncio loses a connection that it has accepted when its server is closed before a task has it.
        for listening in self._server.sockets:
            self._loop.remove_reader(listening)
        await self._turn()
        self._server.close()
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.sleep(0)  # a task that is cancelled before its first turn closes nothing
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
        await self._server.wait_closed()
        await self._turn()

    async def _turn(self) -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far: asyncio.StreamWriter | None = None
        try:
            await self._passes.wait()
            far_reader, far = await asyncio.open_connection(*self._target)
            pumps = [
                asyncio.ensure_future(self._pump(reader, far)),
                asyncio.ensure_future(self._pump(far_reader, writer)),
            ]
            try:
                # Each way ends by itself; where one breaks, the other does too.
                for ended in asyncio.as_completed(pumps):
                    if not await ended:
                        break
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass  # the other end is not there, or this one is closed: the connection ends
        finally:
            ends = [end for end in (writer, far) if end is not None]
            # All of them before any is waited for: this may be cancelled while it waits.
            for end in ends:
                end.transport.abort() if self._is_over else end.close()
            for end in ends:
                with contextlib.suppress(OSError):
                    await end.wait_closed()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Carries bytes one way, each piece so much later; pieces do not wait for one another.

        Returns:
            whether it came to the end; else the connection broke.
        """
        line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            while True:
                due, data = await line.get()
                await asyncio.sleep(max(0.0, due - self._loop.time()))
                await self._passes.wait()
                if not data:
                    writer.write_eof()
                    return
                writer.write(data)
                await writer.drain()

        delivery = asyncio.ensure_future(deliver())
        try:
            while not delivery.done():
                data = await reader.read(_CHUNK_BYTES)
                line.put_nowait((self._loop.time() + self._delay, data))
                if not data:
                    break
            await delivery
        except OSError:
            return False
        else:
            return True
        finally:
            delivery.cancel()
            await asyncio.gather(delivery, return_exceptions=True)
