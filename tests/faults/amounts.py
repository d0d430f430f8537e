"""How much is tried: a part in the suite, all of it in `make faults`."""

from __future__ import annotations

import os


def amount(name: str, in_the_suite: int) -> int:
    """From COVEY_FAULTS_{name}."""
    return int(os.environ.get(f"COVEY_FAULTS_{name}", in_the_suite))
