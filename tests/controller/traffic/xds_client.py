"""A process that dials xds:///SERVICE: reads how many calls to make, line by line, and answers with codes as JSON.

A process of its own, since gRPC takes its bootstrap from the environment when it is loaded.
"""

from __future__ import annotations

import json
import sys
from collections import Counter

import grpc

# A gRPC server cancels calls at random where more than a thousand wait for its threads.
AT_ONCE = 250


def main() -> None:
    with grpc.insecure_channel(f"xds:///{sys.argv[1]}") as channel:
        say = channel.unary_unary("/echo.Echo/Say")
        for line in sys.stdin:
            codes: Counter[str] = Counter()
            for start in range(0, int(line), AT_ONCE):
                count = min(AT_ONCE, int(line) - start)
                futures = [say.future(b"hello", timeout=30, wait_for_ready=True) for _ in range(count)]
                codes.update(future.code().name for future in futures)
            print(json.dumps(codes), flush=True)


if __name__ == "__main__":
    main()
