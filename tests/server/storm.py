"""Calls at a rate that does not wait for answers, from their own process: `python storm.py PORT RATE SECONDS DEADLINE`.

Prints how they ended, as JSON; the request comes on standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter

import grpc

METHOD = "/covey.v1.AnalyzerService/AnalyzeLearner"


async def storm(port: int, rate: float, seconds: float, deadline_seconds: float, request: bytes) -> dict[str, object]:
    """Offers `rate` calls a second for so long."""
    codes: Counter[str] = Counter()
    refused_seconds: list[float] = []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        ask = channel.unary_unary(METHOD)

        async def one() -> None:
            started = time.monotonic()
            try:
                await ask(request, timeout=deadline_seconds)
            except grpc.aio.AioRpcError as error:
                codes[error.code().name] += 1
                if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                    refused_seconds.append(time.monotonic() - started)
            else:
                codes["OK"] += 1

        await channel.channel_ready()
        begun = time.monotonic()
        calls: set[asyncio.Task[None]] = set()
        offered = 0
        while (elapsed := time.monotonic() - begun) < seconds:
            while offered < rate * elapsed:
                task = asyncio.create_task(one())
                calls.add(task)
                task.add_done_callback(calls.discard)
                offered += 1
            await asyncio.sleep(0.002)
        in_time = codes["OK"]
        if calls:
            await asyncio.wait(calls)
    refused_seconds.sort()
    return {
        "offered": offered,
        "goodput": in_time / seconds,
        "codes": dict(codes),
        "refused_p99_seconds": refused_seconds[int(0.99 * len(refused_seconds))] if refused_seconds else 0.0,
    }


if __name__ == "__main__":
    port, rate, seconds, deadline_seconds = (float(word) for word in sys.argv[1:5])
    answer = asyncio.run(storm(int(port), rate, seconds, deadline_seconds, sys.stdin.buffer.read()))
    print(json.dumps(answer))
