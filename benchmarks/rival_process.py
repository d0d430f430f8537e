"""A rival in a process of its own, driven round by round.

Polars fixes its number of threads when it is imported, so a rival with one thread needs its own process; so does one
whose memory should go with it. It generates the same learners from the same seed, waits, and runs one round when told.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

DEADLINE_SECONDS = 300.0
"""For one round, or for being ready."""

Contenders = Mapping[str, Callable[[], Any]]


class RivalProcess:
    """A context: the process lives inside it.

    Args:
        make: a function of a module, called in the process with `arguments`; answers contenders by name.
        arguments: sent to `make`.
        environment: variables that the process starts with, such as POLARS_MAX_THREADS.
    """

    def __init__(
        self, make: Callable[..., Contenders], arguments: tuple[Any, ...], environment: Mapping[str, str]
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make, arguments), daemon=True)
        before = {name: os.environ.get(name) for name in environment}
        os.environ.update(environment)
        try:
            self._process.start()
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
        theirs.close()

    def __enter__(self) -> Self:
        try:
            self._answer()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ours.close()
        self._process.join(timeout=10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def contender(self, name: str) -> Callable[[], None]:
        """What runs one round of that contender and waits for it."""

        def run_round() -> None:
            self._ours.send((name, False))
            self._answer()

        return run_round

    def result(self, name: str) -> Any:
        """What that contender answers, for the check of correctness."""
        self._ours.send((name, True))
        return self._answer()

    def _answer(self) -> Any:
        if not self._ours.poll(DEADLINE_SECONDS):
            raise TimeoutError(f"the rival process did not answer within {DEADLINE_SECONDS:.0f} s")
        try:
            is_error, value = self._ours.recv()
        except EOFError:
            self._process.join(timeout=10)
            raise RuntimeError(f"the rival process ended, exit code {self._process.exitcode}") from None
        if is_error:
            raise RuntimeError(f"the rival process failed:\n{value}")
        return value


def _serve(pipe: Connection, make: Callable[..., Contenders], arguments: tuple[Any, ...]) -> None:
    try:
        contenders = make(*arguments)
        gc.disable()
        pipe.send((False, None))
        while True:
            name, wanted = pipe.recv()
            result = contenders[name]()
            pipe.send((False, result if wanted else None))
            del result
            gc.collect()
    except (EOFError, BrokenPipeError):
        return
    except Exception:
        pipe.send((True, traceback.format_exc()))
