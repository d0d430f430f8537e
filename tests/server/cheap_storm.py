"""Calls at a rate that does not wait for answers, from a caller that costs a tenth of a processor: h2load, of nghttp2.

A caller in Python has one processor for three thousand calls a second, so that on two it takes from the server what it
measures. How calls ended is told by the server's own counters; what they do not count the transport has ended.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .running import ServerProcess

CONNECTIONS = 4
METHOD = "/covey.v1.AnalyzerService/AnalyzeLearner"


def cheap_storm(
    server: ServerProcess, request: bytes, rate: float, seconds: float, deadline_seconds: float, folder: Path
) -> dict[str, Any]:
    """Offers `rate` calls a second for so long: goodput, codes, and the mean time of an answer of any kind."""
    h2load = shutil.which("h2load")
    if h2load is None:
        pytest.skip("h2load is not installed; apt-get install nghttp2-client")
    body = folder / "request"
    body.write_bytes(b"\0" + len(request).to_bytes(4, "big") + request)
    before = ended(server)
    command = [h2load, "--duration", f"{seconds:g}", "--clients", str(CONNECTIONS), "--max-concurrent-streams", "4000"]
    command += ["--rps", f"{rate / CONNECTIONS:g}", "--data", str(body), "--no-tls-proto", "h2c"]
    for header in ("content-type: application/grpc", "te: trailers", f"grpc-timeout: {1000 * deadline_seconds:.0f}m"):
        command += ["--header", header]
    command.append(f"http://127.0.0.1:{server.data_port}{METHOD}")
    said = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 90, check=True).stdout
    codes = {code: count - before.get(code, 0) for code, count in ended(server).items()}
    (done,) = re.findall(r"(\d+) done", said)
    (mean,) = re.findall(r"time for request:\s+\S+\s+\S+\s+(\S+)", said)
    return {
        "offered": int(rate * seconds),
        "goodput": codes.get("OK", 0) / seconds,
        "codes": {code: count for code, count in codes.items() if count},
        "ended_by_the_transport": int(done) - sum(codes.values()),
        "mean_time": mean,
    }


def ended(server: ServerProcess) -> dict[str, int]:
    """Calls of the method so far, by code."""
    found: dict[str, int] = {}
    for labels, value in server.samples("covey_requests_total", method="AnalyzeLearner").items():
        code = dict(labels)["code"]
        found[code] = found.get(code, 0) + int(value)
    return found
