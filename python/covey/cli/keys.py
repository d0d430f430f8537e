"""Keys of a live view: heard one by one while it is drawn. Afterwards the terminal is as it was before."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from select import select


class Key(StrEnum):
    """What a key means."""

    LEAVE = "leave"
    STILL = "still"
    DOWN = "down"
    UP = "up"
    HELP = "help"


_MEANT = {
    b"q": Key.LEAVE,
    b"Q": Key.LEAVE,
    b" ": Key.STILL,
    b"j": Key.DOWN,
    b"\t": Key.DOWN,
    b"\x1b[B": Key.DOWN,
    b"\x1bOB": Key.DOWN,
    b"k": Key.UP,
    b"\x1b[A": Key.UP,
    b"\x1bOA": Key.UP,
    b"?": Key.HELP,
    b"h": Key.HELP,
}


def meant(pressed: bytes) -> Iterator[Key]:
    """What bytes of a terminal mean; what means nothing is passed over, an escape sequence as a whole."""
    while pressed:
        size = 1
        if pressed[:2] in {b"\x1b[", b"\x1bO"}:
            # Parameters, then one letter or "~".
            size = 2 + len(pressed[2:]) - len(pressed[2:].lstrip(b"0123456789;")) + 1
        if key := _MEANT.get(pressed[:size]):
            yield key
        pressed = pressed[size:]


@contextmanager
def heard(press: Callable[[Key], None]) -> Iterator[bool]:
    """Calls `press` for each key, from a thread of its own; whether keys can be heard at all.

    They cannot where standard input is no terminal, or another process has it (a job in the background).
    """
    terminal = _terminal()
    if terminal is None:
        yield False
        return
    import termios
    import tty

    before = termios.tcgetattr(terminal)
    ended, end = os.pipe()
    listener = threading.Thread(target=_listen, args=(terminal, ended, press), name="keys", daemon=True)
    try:
        # Signals stay keys: Ctrl-C leaves, Ctrl-Z stops.
        tty.setcbreak(terminal, termios.TCSANOW)
        listener.start()
        yield True
    finally:
        os.close(end)
        listener.join()
        os.close(ended)
        termios.tcsetattr(terminal, termios.TCSANOW, before)


def _terminal() -> int | None:
    try:
        descriptor = sys.stdin.fileno()
        is_ours = os.isatty(descriptor) and os.tcgetpgrp(descriptor) == os.getpgrp()
    except (AttributeError, OSError, ValueError):
        return None
    return descriptor if is_ours else None


def _listen(terminal: int, ended: int, press: Callable[[Key], None]) -> None:
    while True:
        ready, _, _ = select([terminal, ended], [], [])
        if ended in ready:
            return
        try:
            pressed = os.read(terminal, 64)
        except OSError:
            return
        if not pressed:
            return
        for key in meant(pressed):
            press(key)
