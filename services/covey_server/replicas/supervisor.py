"""`covey serve --replicas N`: N servers behind one address, started again when they die, and one by one on SIGHUP.

The kernel gives each new connection to one of the processes that listen at the shared address (SO_REUSEPORT). This
process listens nowhere, answers nothing and opens no store: what serves does not depend on it from call to call.
"""

from __future__ import annotations

import logging
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from covey import __version__
from covey.stop_signals import StopSignals
from covey_server import ports_file
from covey_server.access import posture
from covey_server.config import Address, ServerConfig
from covey_server.failures import StartError
from covey_server.ports.addresses import check_free
from covey_server.replicas.process import ReplicaProcess
from covey_server.replicas.told import replicas_of

_POLL_SECONDS = 0.05
# Beyond the grace that a replica gives its calls: it closes files and connections, too.
_STOP_MARGIN_SECONDS = 20.0

_log = logging.getLogger("covey_server.replicas")


class Supervisor:
    """Looks after the replicas of one address.

    Args:
        config: with `replicas` of at least 1.
        arguments: the command line that it was read from.
        monotonic: seconds of a clock that never goes back.

    Raises:
        StartError: an address cannot be used.
    """

    def __init__(
        self, config: ServerConfig, arguments: Sequence[str], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        posture.check(config)
        self._config = config
        self._monotonic = monotonic
        self._held = [_held(config.listen, "--listen"), _held(config.control_listen, "--control-listen")]
        self._data, self._control = (
            Address(address.host, held.getsockname()[1])
            for address, held in zip((config.listen, config.control_listen), self._held, strict=True)
        )
        self._processes = [
            ReplicaProcess(replica) for replica in replicas_of(config, self._data, self._control, arguments)
        ]
        # To be started anew, and the one whose turn it is.
        self._to_renew: list[ReplicaProcess] = []
        self._renewed: ReplicaProcess | None = None
        self._is_asked = False

    def run(self, stop_signals: StopSignals) -> int:
        """Until told to stop; the exit status.

        Raises:
            StartError: a replica did not start the first time.
        """
        previous = signal.signal(signal.SIGHUP, self._ask)
        try:
            self._start(stop_signals)
            while not stop_signals.wait(_POLL_SECONDS):
                self._look()
            return self._stop()
        finally:
            for process in self._processes:
                process.kill()
            signal.signal(signal.SIGHUP, previous)
            for held in self._held:
                held.close()
            ports_file.forget(self._config.ports_file)

    @property
    def _patience_seconds(self) -> float:
        return self._config.drain_grace_seconds + _STOP_MARGIN_SECONDS

    def _ask(self, *_: object) -> None:
        self._is_asked = True

    def _start(self, stop_signals: StopSignals) -> None:
        # The first alone: it makes the tables, or brings them to another version, before others look at them.
        for together in (self._processes[:1], self._processes[1:]):
            for process in together:
                process.start(self._monotonic())
            while not all(process.ports() for process in together):
                if stop_signals.wait(_POLL_SECONDS):
                    return
                for process in self._processes:
                    status = process.ended(self._monotonic())
                    if status is not None:
                        raise StartError(f"{process.replica.name} ended with status {status} before all were ready")
        self._write_ports()
        print(self._welcome(), file=sys.stderr, flush=True)  # noqa: T201 - for people

    def _look(self) -> None:
        now = self._monotonic()
        if self._is_asked:
            self._is_asked = False
            _log.info("replicas are started anew, one after the other")
            self._to_renew = list(self._processes)
        for process in self._processes:
            status = process.ended(now)
            if status is not None and not process.is_told_to_stop:
                _log.error("a replica ended", extra={"replica": process.replica.name, "status": status})
                self._give_up(process)
            if process.may_start(now):
                process.start(now)
        self._renew(now)

    def _renew(self, now: float) -> None:
        """Go on with the replica whose turn it is; the next one's comes once that one answers again."""
        if self._renewed is not None and self._renewed.serves:
            self._renewed = None
            self._write_ports()
            if not self._to_renew:
                _log.info("every replica was started anew")
        if self._renewed is None and self._to_renew:
            self._renewed = self._to_renew.pop(0)
            self._renewed.stop(now, self._patience_seconds)

    def _give_up(self, process: ReplicaProcess) -> None:
        """Leave the others as they are where a replica that was started anew dies before it is ready."""
        if process is self._renewed:
            self._renewed, self._to_renew = None, []
            _log.error(
                "a replica does not start; the others are left as they are",
                extra={"replica": process.replica.name},
            )

    def _stop(self) -> int:
        for process in self._processes:
            process.stop(self._monotonic(), self._patience_seconds)
        statuses: list[int] = []
        while any(process.is_running for process in self._processes):
            ended = (process.ended(self._monotonic()) for process in self._processes)
            statuses += [status for status in ended if status is not None]
            time.sleep(_POLL_SECONDS)
        return 0 if not any(statuses) else 1

    def _write_ports(self) -> None:
        path = self._config.ports_file
        if path is None:
            return
        replicas = [process.ports() or {} for process in self._processes]
        ports_file.write(path, {"data": self._data.port, "control": self._control.port, "replicas": replicas})

    def _welcome(self) -> str:
        pages = ", ".join(
            str(Address(self._config.metrics_listen.host, (process.ports() or {}).get("metrics", 0)))
            for process in self._processes
        )
        return (
            f"covey {__version__}: {len(self._processes)} replicas serve: data {self._data}, control {self._control};"
            f" metrics {pages}. SIGHUP starts them anew, one after the other"
        )


def _held(address: Address, option: str) -> socket.socket:
    """The address, bound and not listened on: it stays ours while no replica runs, and gets no connection itself.

    Raises:
        StartError: it cannot be used.
    """
    # Whoever listens there already, be it another set of replicas, would share the callers with these.
    check_free(address, option)
    family, kind, protocol, _, place = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    held = socket.socket(family, kind, protocol)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        held.bind(place)
    except OSError as error:
        held.close()
        raise StartError(f"{option} {address}: cannot listen there ({error.strerror}); choose another") from error
    return held


def supervise(config: ServerConfig, arguments: Sequence[str], stop_signals: StopSignals) -> int:
    """Serve with the replicas of a configuration until told to stop; the exit status.

    Raises:
        StartError: they cannot start.
    """
    Path(config.data_directory).mkdir(parents=True, exist_ok=True)
    return Supervisor(config, arguments).run(stop_signals)
