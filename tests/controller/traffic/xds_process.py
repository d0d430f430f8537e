"""Real gRPC clients of a control plane, each a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCRIPT = Path(__file__).with_name("xds_client.py")


class XdsClient:
    """A client whose calls are made on demand."""

    def __init__(self, plane: str, service: str = "echo", node: str = "client") -> None:
        bootstrap = {
            "xds_servers": [
                {"server_uri": plane, "channel_creds": [{"type": "insecure"}], "server_features": ["xds_v3"]}
            ],
            "node": {"id": node},
        }
        environment = {**os.environ, "GRPC_XDS_BOOTSTRAP_CONFIG": json.dumps(bootstrap)}
        self._process = subprocess.Popen(
            [sys.executable, str(SCRIPT), service],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def call(self, count: int) -> dict[str, int]:
        """So many calls at once; how they ended, by code."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert isinstance(answer, dict)
        return answer

    def close(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=30)


@contextmanager
def xds_client(plane: str, node: str = "client") -> Iterator[XdsClient]:
    """A running client."""
    client = XdsClient(plane, node=node)
    try:
        yield client
    finally:
        client.close()
