"""Audiences that interfere with a demonstration while it runs."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from covey.demo.script import DemoOptions
from covey.demo.supervisor import Child
from covey.v1 import journal_pb2
from covey.v1.rollouts_pb2 import Rollout

SHORT_PLAN = Path(__file__).parent.parent / "e2e" / "short-plan.yaml"
Act = tuple[Callable[[Rollout], bool], Callable[[], None]]


class Interferer:
    """An audience that does something to the demonstration once per condition, and remembers the story.

    Args:
        plan: name and condition of each act, and the act itself.
    """

    def __init__(self, plan: dict[str, Act]) -> None:
        self.plan = plan
        self.done: list[str] = []
        self.entries: list[journal_pb2.Entry] = []
        self.story: list[str] = []

    def say(self, text: str) -> None:
        self.story.append(text)

    def show(self, rollout: Rollout, entries: Sequence[journal_pb2.Entry]) -> None:
        self.entries.extend(entries)
        for name, (condition, act) in self.plan.items():
            if name not in self.done and condition(rollout):
                self.done.append(name)
                act()

    def kinds(self) -> list[str]:
        """What happened, by name of the journal's payloads."""
        return [entry.WhichOneof("payload") or "" for entry in self.entries]


def kill_9(child: Child | None) -> None:
    """As the kernel's out-of-memory killer would."""
    assert child is not None
    assert child.process is not None
    os.kill(child.process.pid, signal.SIGKILL)


def in_phase(name: str, seconds: float) -> Callable[[Rollout], bool]:
    """Whether so much observed time of a phase is over."""
    return lambda rollout: rollout.phase == name and rollout.phase_elapsed.ToTimedelta().total_seconds() >= seconds


def short_options(directory: Path) -> DemoOptions:
    """A demonstration of the short plan, with logs in `directory`/kept."""
    return DemoOptions(
        directory=directory / "kept",
        report_directory=None,
        plan=SHORT_PLAN,
        rate=200.0,
        patience_seconds=40.0,
        learner_count=500,
    )
