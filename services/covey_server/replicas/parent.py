"""A replica ends with the process that looks after it, however that one ends."""

from __future__ import annotations

import ctypes
import os
import signal

PARENT_VARIABLE = "COVEY_REPLICA_PARENT"
_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Have the kernel send SIGTERM when the parent is gone, where the environment says that there is one.

    Raises:
        SystemExit: it is gone already.
    """
    parent = os.environ.pop(PARENT_VARIABLE, "")
    if not parent:
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    # It may have ended between its fork and this line.
    if os.getppid() != int(parent):
        raise SystemExit(1)
