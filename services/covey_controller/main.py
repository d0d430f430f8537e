"""`covey-controller`: the process around the loop."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from random import SystemRandom

from covey.json_logs import configure_logs
from covey.stop_signals import StopSignals
from covey_controller.access import ends_of
from covey_controller.client import ControlClient, open_channel
from covey_controller.clock import SystemClock
from covey_controller.config import Config, parse_address, parse_arguments
from covey_controller.exporter import Exporter
from covey_controller.failures import ConfigError
from covey_controller.loop import Loop
from covey_controller.notify import Notifier
from covey_controller.outbox.sender import Sender


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until SIGTERM or SIGINT.

    Returns:
        0 after an orderly stop, 1 when it cannot start, 2 on wrong usage.
    """
    try:
        config = parse_arguments(arguments)
    except ConfigError as error:
        print(f"covey-controller: {error}", file=sys.stderr)  # noqa: T201
        return 2
    configure_logs("covey_controller")
    exporter = Exporter()
    host, port = parse_address(config.metrics_address)
    try:
        may_read, certificates = config.page.open()
        exporter.certificates(ends_of(certificates, config.security.cert))
        page = exporter.serve(host, port, may_read, certificates)
    except ConfigError as error:
        print(f"covey-controller: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except OSError as error:
        print(  # noqa: T201
            f"covey-controller: cannot serve metrics at {config.metrics_address}: {error.strerror or error}; "
            "choose another with --metrics-listen",
            file=sys.stderr,
        )
        return 1
    try:
        return _drive(config, exporter, page.port)
    finally:
        page.stop()


def _drive(config: Config, exporter: Exporter, metrics_port: int) -> int:
    with StopSignals() as stop_signals, open_channel(config.control_address, config.security) as channel:
        clock = SystemClock(stop_signals)
        client = ControlClient(channel, actor=config.holder, call_seconds=config.call_seconds, security=config.security)
        try:
            loop = Loop(config, client, clock, exporter, Notifier())
        except ConfigError as error:
            print(f"covey-controller: {error}", file=sys.stderr)  # noqa: T201
            return 1
        senders = [
            Sender(sink, client, config.target, lambda: loop.epoch, SystemRandom(), exporter.notified, exporter.untold)
            for sink in config.sinks
        ]
        if config.ports_file:
            _write_ports(Path(config.ports_file), metrics_port, loop.xds_address)
        for sender in senders:
            sender.start()
        try:
            loop.run()
        finally:
            for sender in senders:
                sender.stop()
    return 0


def _write_ports(path: Path, metrics_port: int, xds_address: str) -> None:
    """Says where the metrics and the control plane are; whole or not at all."""
    temporary = path.with_name(path.name + ".part")
    ports = {"metrics": metrics_port, "pid": os.getpid()}
    if xds_address:
        ports["xds"] = int(xds_address.rpartition(":")[2])
    temporary.write_text(json.dumps(ports) + "\n", encoding="utf-8")
    temporary.replace(path)


if __name__ == "__main__":
    raise SystemExit(main())
