"""Runs a command that cannot outlive who started it: `python -m covey.demo.child PARENT_PID COMMAND...`.

Linux sends the command SIGKILL when its parent dies, however it dies; the setting survives the exec below.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Asks the kernel for the signal, then becomes the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # the parent died before it could be asked for
            raise SystemExit(1)
    os.execvp(command[0], command)  # noqa: S606 - the command is the demo's own


if __name__ == "__main__":
    main()
