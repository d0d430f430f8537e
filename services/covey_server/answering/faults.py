"""Faults on purpose, for demonstrations and tests: the one way in which a candidate can be made bad.

They hit what a rollout's candidate computes (for callers, shadows and probes alike) and nothing else, and enter at one
place, around the candidate's engine call. A server that was not started with `--enable-faults` refuses to load them.

| fault | what the candidate does |
|---|---|
| `error-rate=0.03` | that share of its calls fails with INTERNAL |
| `latency=300ms@0.05` | that share of its calls takes so much longer |
| `latency-doubled` | every call takes twice what it took since it came, or 20 ms where that was below 10 ms |
| `wrong-result=0.02` | that share of its answers has another learning velocity and the next cohort |
| `candidate-hangs` | its engine never returns |
| `candidate-crashes` | every 20th call of its engine aborts the process |
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING

import grpc

from covey.v1 import traits_pb2
from covey_server.errors import CallError

if TYPE_CHECKING:
    from covey_server.answering.engines import Analysis

CALLS_PER_CRASH = 20
SHORTEST_CALL_SECONDS = 0.01
"""What a call is taken to last at least, before it is doubled: twice the native engine's own time would still be faster
than the reference engine, and no fault at all."""
_NAMES = (
    "error-rate=SHARE",
    "latency=TIME@SHARE",
    "latency-doubled",
    "wrong-result=SHARE",
    "candidate-hangs",
    "candidate-crashes",
)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s)")


class FaultError(ValueError):
    """A fault that cannot be loaded: what was given, and what would do."""


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """What goes wrong, and how often.

    Attributes:
        error_share: part of the candidate's calls that fail, 0 to 1.
        delay_seconds: how much longer a delayed call takes.
        delay_share: part of the candidate's calls that are delayed, 0 to 1.
        wrong_share: part of the candidate's answers that are wrong, 0 to 1.
        hangs: whether the candidate's engine never returns.
        crashes: whether the candidate's engine aborts the process now and then.
        doubled: whether every call of the candidate takes twice its time, the wait for its turn included.
    """

    error_share: float = 0.0
    delay_seconds: float = 0.0
    delay_share: float = 0.0
    wrong_share: float = 0.0
    hangs: bool = False
    crashes: bool = False
    doubled: bool = False


def load_plan(texts: Sequence[str], *, enabled: bool) -> FaultPlan | None:
    """The plan of `--fault` arguments; None without any.

    Raises:
        FaultError: faults were given to a server without `--enable-faults`, or one is not of the table above.
    """
    if not texts:
        return None
    if not enabled:
        raise FaultError(f"fault {texts[0]!r} refused: this server was not started with --enable-faults")
    plan = FaultPlan()
    for text in texts:
        name, _, value = text.partition("=")
        if name == "error-rate":
            plan = replace(plan, error_share=_share(text, value))
        elif name == "wrong-result":
            plan = replace(plan, wrong_share=_share(text, value))
        elif name == "latency":
            duration, _, share = value.partition("@")
            plan = replace(plan, delay_seconds=_seconds(text, duration), delay_share=_share(text, share))
        elif text == "latency-doubled":
            plan = replace(plan, doubled=True)
        elif text == "candidate-hangs":
            plan = replace(plan, hangs=True)
        elif text == "candidate-crashes":
            plan = replace(plan, crashes=True)
        else:
            raise FaultError(f"fault {text!r} is unknown; expected one of {', '.join(_NAMES)}")
    return plan


class Faults:
    """Brings the faults of a plan into the candidate's engine calls.

    Args:
        plan: what goes wrong.
        random: decides which calls are hit; the same seed hits the same calls in the order of their arrival.
        abort: ends the process as a crashing engine does.
    """

    def __init__(self, plan: FaultPlan, random: Random, abort: Callable[[], object] = os.abort) -> None:
        self._plan = plan
        self._random = random
        self._abort = abort
        self._lock = threading.Lock()
        self._call_count = 0
        self._released = threading.Event()

    def around(self, analyze: Callable[[], Analysis], submitted: float | None = None) -> Analysis:
        """The candidate's answer, or what the plan makes of it.

        Args:
            analyze: the engine call.
            submitted: `time.monotonic()` when its caller asked; None: now.
        """
        began = time.monotonic() if submitted is None else submitted
        with self._lock:
            self._call_count += 1
            call_count = self._call_count
            fails, is_late, is_wrong = (self._random.random() for _ in range(3))
        plan = self._plan
        if plan.crashes and call_count % CALLS_PER_CRASH == 0:
            self._abort()
        if plan.hangs:
            self._released.wait()
        if is_late < plan.delay_share:
            self._released.wait(plan.delay_seconds)
        if fails < plan.error_share:
            raise CallError(grpc.StatusCode.INTERNAL, "injected fault: error", reason="INJECTED_FAULT")
        analysis = analyze()
        if plan.doubled:
            taken = time.monotonic() - began
            self._released.wait(2 * max(taken, SHORTEST_CALL_SECONDS) - taken)
        return _wrong(analysis) if is_wrong < plan.wrong_share else analysis

    def release(self) -> None:
        """Let what hangs or waits go on; for the end of the server."""
        self._released.set()


def _wrong(analysis: Analysis) -> Analysis:
    traits = traits_pb2.Traits()
    traits.CopyFrom(analysis.traits)
    traits.learning_velocity += 0.5 if traits.learning_velocity < 0.5 else -0.5
    cohort_count = len(analysis.squared_distances)
    index = (analysis.cohort_index + 1) % cohort_count if cohort_count else analysis.cohort_index
    return replace(analysis, traits=traits, cohort_index=index)


def _share(fault: str, text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0.0 <= share <= 1.0:
        raise FaultError(f"fault {fault!r}: share {text!r} is not a number from 0 to 1")
    return share


def _seconds(fault: str, text: str) -> float:
    match = _DURATION.fullmatch(text)
    if not match:
        raise FaultError(f"fault {fault!r}: time {text!r} is not of the form 300ms or 2s")
    return float(match[1]) * (0.001 if match[2] == "ms" else 1.0)
