"""`covey-server`: start, serve until told to stop, drain."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from covey.stop_signals import StopSignals
from covey_server import logs
from covey_server.allocator import return_large_blocks
from covey_server.config import parse
from covey_server.errors import CallError
from covey_server.failures import StartError
from covey_server.replicas.parent import end_with_parent
from covey_server.wiring import AnalyzerServer, wall_clock

# Python's own 5 ms are what a thread that reads, refuses or controls waits for each one that computes.
_SWITCH_INTERVAL_SECONDS = 0.001


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a server until SIGTERM or SIGINT.

    Args:
        arguments: of the command line; those of this process by default.

    Returns:
        Exit status: 0 after a drain, 1 where it could not start (one line on standard error says why).

    Raises:
        SystemExit: status 2 for a wrong command line.
    """
    end_with_parent()
    config = parse(arguments)
    sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)
    handler = logs.configure(config.log_level)
    return_large_blocks()
    try:
        # Before the start, so that a signal in the middle of it still ends in a drain.
        with StopSignals() as stop_signals:
            if config.replicas > 1:
                from covey_server.replicas.supervisor import supervise

                return supervise(config, sys.argv[1:] if arguments is None else arguments, stop_signals)
            server = AnalyzerServer(config, wall_clock)
            print(server.welcome(), file=sys.stderr, flush=True)  # noqa: T201 - for people
            stop_signals.wait()
            server.stop()
    except _start_errors() as error:
        print(f"covey-server: {error}", file=sys.stderr)  # noqa: T201
        return 1
    finally:
        logs.remove(handler)
    return 0


def _start_errors() -> tuple[type[Exception], ...]:
    """What a start may fail with; the store's own error is known only once its library is loaded."""
    from covey_server.store.failures import StoreError

    return StartError, StoreError, CallError


if __name__ == "__main__":
    sys.exit(main())
