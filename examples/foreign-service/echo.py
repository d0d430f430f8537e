"""A gRPC echo with metrics: `python echo.py --port 7001 --metrics-port 9001 --version 1`; a bad build: `--fail 0.3`."""

import argparse
import random
from concurrent.futures import ThreadPoolExecutor

import grpc
from prometheus_client import Counter, Histogram, start_http_server

HANDLED = Counter("grpc_server_handled", "Calls by code.", ["grpc_code"])
SECONDS = Histogram("grpc_server_handling_seconds", "Time of calls.", buckets=[0.01, 0.05, 0.1, 0.25, 0.5, 1.0])


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, kind in (("--port", int), ("--metrics-port", int), ("--version", str)):
        parser.add_argument(name, type=kind, required=True)
    parser.add_argument("--fail", type=float, default=0.0, help="share of calls that fail")
    options = parser.parse_args()

    @SECONDS.time()
    def answer(request: bytes) -> tuple[grpc.StatusCode, bytes]:
        failed = random.random() < options.fail
        return grpc.StatusCode.INTERNAL if failed else grpc.StatusCode.OK, options.version.encode() + request

    def say(request: bytes, context: grpc.ServicerContext) -> bytes:
        code, text = answer(request)
        HANDLED.labels(code.name).inc()
        if code is not grpc.StatusCode.OK:
            context.abort(code, "a bad build")
        return text

    start_http_server(options.metrics_port, "127.0.0.1")
    server = grpc.server(ThreadPoolExecutor(8))
    handlers = {"Say": grpc.unary_unary_rpc_method_handler(say)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo.Echo", handlers),))
    server.add_insecure_port(f"127.0.0.1:{options.port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
