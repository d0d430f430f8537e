"""Being told to stop, by signals that cannot be missed."""

from __future__ import annotations

import select
import signal
import socket
import threading
import time
from collections.abc import Sequence
from types import TracebackType


class StopSignals:
    """SIGTERM and SIGINT as something to wait for; a context of the main thread.

    An `Event` that a handler sets is not enough. Python runs handlers between two instructions of the main thread, so a
    signal that arrives as that thread goes to sleep, or lands on another thread of the process, is noted and runs
    nothing: the sleeper sleeps on. The interpreter's wake-up descriptor is written at once, on whatever thread the
    signal lands, and waiting for it misses nothing.

    Args:
        numbers: of the signals.

    Raises:
        ValueError: on entering outside the main thread.
    """

    def __init__(self, numbers: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGINT)) -> None:
        self._numbers = tuple(numbers)
        self._told = False

    def __enter__(self) -> StopSignals:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        try:
            self._previous_descriptor = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        except ValueError:
            self._close()
            raise
        self._previous = {number: signal.signal(number, self._handle) for number in self._numbers}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, action in self._previous.items():
            signal.signal(number, action)
        signal.set_wakeup_fd(self._previous_descriptor)
        self._close()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for one of the signals.

        Args:
            seconds: at most so long; without end where it is None.

        Returns:
            True once one has arrived, also in every later call.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while not self._told:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self._reader], [], [], left)
            if ready:
                # A byte per signal, also of signals that others handle.
                self._told = self._told or any(byte in self._numbers for byte in self._reader.recv(4096))
            elif left is not None:
                break
        return self._told

    def _handle(self, *_: object) -> None:
        self._told = True

    def _close(self) -> None:
        self._reader.close()
        self._writer.close()


class Interruptions:
    """Ctrl-C and its like as `KeyboardInterrupt`, heard even where that exception is lost; a context of one thread.

    Python raises it between two instructions of whatever the main thread runs. Within a destructor or a callback of
    compiled code, such as those of a gRPC call that is over, it is printed and forgotten, and the program goes on. So
    it is remembered that there was one, and a loop asks by `check`.

    A signal that is ignored on entering stays ignored, as shells have it for what they run in the background. Outside
    the main thread nothing changes.

    Args:
        numbers: of the signals.
    """

    def __init__(self, numbers: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)) -> None:
        self._numbers = tuple(numbers)
        self._told = False

    def __enter__(self) -> Interruptions:
        is_main = threading.current_thread() is threading.main_thread()
        heard = [number for number in self._numbers if is_main and signal.getsignal(number) is not signal.SIG_IGN]
        self._previous = {number: signal.signal(number, self._handle) for number in heard}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, action in self._previous.items():
            signal.signal(number, action)

    def check(self) -> None:
        """Call it often.

        Raises:
            KeyboardInterrupt: one of the signals has arrived, also in every later call.
        """
        if self._told:
            raise KeyboardInterrupt

    def _handle(self, *_: object) -> None:
        self._told = True
        raise KeyboardInterrupt
