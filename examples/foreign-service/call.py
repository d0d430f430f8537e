"""Callers of the echo: `python call.py 127.0.0.1:7000` through HAProxy, `python call.py xds:///echo` without a proxy.

Prints once a second how many calls each version answered, and how many failed.
"""

import argparse
import itertools
import time
from collections import Counter

import grpc


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    parser.add_argument("--rate", type=int, default=100, help="calls per second")
    options = parser.parse_args()
    answers: Counter[str] = Counter()

    def count(call: grpc.Future) -> None:
        code = call.code()
        answers[f"version {call.result()[:1].decode()}" if code is grpc.StatusCode.OK else code.name] += 1

    with grpc.insecure_channel(options.target) as channel:
        say = channel.unary_unary("/echo.Echo/Say")
        begin = time.monotonic()
        for number in itertools.count(1):
            header = (("x-covey-learner", f"learner-{number % 5000}"),)
            say.future(b" hello", timeout=10, metadata=header, wait_for_ready=True).add_done_callback(count)
            time.sleep(max(0.0, begin + number / options.rate - time.monotonic()))
            if number % options.rate == 0:
                print(", ".join(f"{what}: {much}" for what, much in sorted(answers.items())), flush=True)
                answers.clear()


if __name__ == "__main__":
    main()
