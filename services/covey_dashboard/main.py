"""`covey-dashboard`: the process around the pages."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from covey.json_logs import configure_logs
from covey.stop_signals import StopSignals

_EXTRA = "covey-dashboard needs starlette and uvicorn: pip install 'covey[dashboard]'"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until SIGTERM or SIGINT.

    Returns:
        0 after an orderly stop, 1 when it cannot start, 2 on wrong usage.
    """
    from covey_dashboard.config import ConfigError, parse_arguments

    try:
        config = parse_arguments(arguments)
    except ConfigError as error:
        return _say(str(error), 2)
    try:
        from covey_dashboard.dashboard import Dashboard
    except ImportError as error:
        if error.name in {"starlette", "uvicorn"}:
            return _say(_EXTRA, 1)
        raise
    configure_logs("covey_dashboard")
    # That it starts and stops is said once, by this process.
    configure_logs("uvicorn.error", level=logging.WARNING)
    with StopSignals() as stop_signals:
        try:
            dashboard = Dashboard(config)
        except ConfigError as error:
            return _say(str(error), 1)
        except OSError as error:
            return _say(
                f"cannot listen on {config.host}:{config.port}: {error.strerror or error}; choose another address with "
                "--listen",
                1,
            )
        try:
            print(f"covey dashboard: {dashboard.url} (server {config.control})", flush=True)  # noqa: T201
            stop_signals.wait()
        finally:
            dashboard.stop()
    return 0


def _say(text: str, code: int) -> int:
    print(f"covey-dashboard: {text}", file=sys.stderr)  # noqa: T201
    return code


if __name__ == "__main__":
    raise SystemExit(main())
