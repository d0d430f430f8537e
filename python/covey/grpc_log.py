"""What gRPC itself says on standard error, beside what this project logs."""

from __future__ import annotations

import os


def quiet() -> None:
    """Errors only, unless the user chose by GRPC_VERBOSITY; for programs, before gRPC is imported.

    By default gRPC writes a line of its C++ sources for every caller that speaks no TLS to a port that does.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
