"""A signal to stop is never missed, whatever thread it lands on and whatever that thread does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from covey.stop_signals import Interruptions, StopSignals

# The kernel may hand a signal to any thread; here it lands on one that is not the waiter, once the waiter sleeps.
_LANDING_ELSEWHERE = """
import signal, threading, time

def strike():
    # The waiter is asleep once it has used no processor time for a while.
    while time.clock_gettime(clock) != (before := time.clock_gettime(clock)) or not waiting.is_set():
        time.sleep(0.05)
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

clock = time.pthread_getcpuclockid(threading.main_thread().ident)
waiting = threading.Event()
striker = threading.Thread(target=strike, daemon=True)
"""
_WITH_STOP_SIGNALS = """
from covey.stop_signals import Interruptions, StopSignals
with StopSignals() as stop_signals:
    striker.start()
    waiting.set()
    stop_signals.wait()
"""
_WITH_AN_EVENT = """
told = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: told.set())
striker.start()
waiting.set()
told.wait()
"""


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def waiter(code: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _LANDING_ELSEWHERE + code])


def test_a_signal_on_another_thread_wakes_the_waiter() -> None:
    assert waiter(_WITH_STOP_SIGNALS).wait(timeout=30) == 0


def test_an_event_set_by_a_handler_sleeps_on() -> None:
    process = waiter(_WITH_AN_EVENT)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=3)
    finally:
        process.kill()
        process.wait(timeout=30)


def test_a_wait_ends_after_its_time_and_remembers_being_told() -> None:
    with StopSignals() as stop_signals:
        assert not stop_signals.wait(0.0)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop_signals.wait(30.0)
        assert stop_signals.wait()


def test_a_signal_of_others_is_not_taken_for_one_to_stop() -> None:
    seen: list[int] = []
    previous = signal.signal(signal.SIGUSR1, lambda number, _: seen.append(number))
    try:
        with StopSignals() as stop_signals:
            os.kill(os.getpid(), signal.SIGUSR1)
            assert not stop_signals.wait(0.2)
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert seen == [signal.SIGUSR1]


def test_what_was_there_before_is_restored() -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    descriptors = open_descriptors()
    with StopSignals():
        assert signal.getsignal(signal.SIGTERM) != handlers[0]
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == handlers
    assert signal.set_wakeup_fd(-1) == -1
    assert open_descriptors() == descriptors


def test_another_thread_is_refused_and_nothing_is_left_open() -> None:
    descriptors = open_descriptors()
    refused: list[BaseException] = []

    def enter() -> None:
        try:
            StopSignals().__enter__()
        except ValueError as error:
            refused.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join(30)
    assert len(refused) == 1
    assert open_descriptors() == descriptors


def test_a_wait_without_a_signal_takes_its_time() -> None:
    with StopSignals() as stop_signals:
        started = time.monotonic()
        assert not stop_signals.wait(0.1)
        assert time.monotonic() - started >= 0.1


class _Closing:
    """Interrupted while it is destroyed, as calls of gRPC are when they are over."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        sum(range(10))  # between these instructions Python runs the handler


def _destroy(monkeypatch: pytest.MonkeyPatch) -> list[type[BaseException]]:
    """What was raised in vain while a `_Closing` was destroyed."""
    lost: list[type[BaseException]] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: lost.append(told.exc_type))
    closing = _Closing()
    del closing
    return lost


def test_an_interruption_that_is_lost_is_heard_by_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    with Interruptions() as interruptions:
        interruptions.check()
        assert _destroy(monkeypatch) == [KeyboardInterrupt], "Python's own handler would leave no trace of it"
        with pytest.raises(KeyboardInterrupt):
            interruptions.check()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_is_an_exception_at_once(number: signal.Signals) -> None:
    # Whoever runs the tests may have made them deaf to it, as nohup does.
    before = signal.signal(number, signal.SIG_DFL)
    try:
        with pytest.raises(KeyboardInterrupt), Interruptions():
            os.kill(os.getpid(), number)
            time.sleep(30)
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_a_signal_that_is_ignored_stays_so() -> None:
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interruptions() as interruptions:
            os.kill(os.getpid(), signal.SIGINT)
            interruptions.check()
    finally:
        signal.signal(signal.SIGINT, previous)


def test_in_another_thread_nothing_changes() -> None:
    def enter() -> None:
        with Interruptions() as interruptions:
            interruptions.check()
            entered.set()

    entered = threading.Event()
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join(30)
    assert entered.is_set()
