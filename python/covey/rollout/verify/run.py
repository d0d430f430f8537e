"""The whole verification: its blocks, which can run in any order and anywhere, and its result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from covey.rollout.verify.gate import Broken
from covey.rollout.verify.judge import CONFIDENCE, WorldResult, judge_world
from covey.rollout.verify.simulate import BLOCK, Block, run_block
from covey.rollout.verify.worlds import LOOKS, World, all_worlds


@dataclass(frozen=True)
class Task:
    """A block that is to be simulated.

    Attributes:
        world: its world.
        rollouts: how many.
        seed: entropy of its randomness: of the run, of the world, of the block.
        broken: a deliberate fault.
    """

    world: World
    rollouts: int
    seed: tuple[int, int, int]
    broken: Broken | None = None

    def run(self) -> Block:
        """The same block wherever and whenever it runs."""
        generator = np.random.default_rng(np.random.SeedSequence(self.seed))
        return run_block(self.world, self.rollouts, generator, self.broken)


@dataclass(frozen=True)
class Verification:
    """The result.

    Attributes:
        results: by world, in their order.
        full: whether the promised bounds were asserted.
        seed: of the run.
    """

    results: tuple[WorldResult, ...]
    full: bool
    seed: int

    @property
    def holds(self) -> bool:
        """Whether every claim of every world does."""
        return all(result.holds for result in self.results)

    @property
    def rollouts(self) -> int:
        """How many were simulated."""
        return sum(next(iter(result.rates.values())).rollouts for result in self.results)

    def as_data(self) -> dict[str, object]:
        """For JSON."""
        return {
            "full": self.full,
            "seed": self.seed,
            "holds": self.holds,
            "rollouts": self.rollouts,
            "looks_per_rollout": LOOKS,
            "confidence": CONFIDENCE,
            "worlds": [result.as_data() for result in self.results],
        }


def tasks_of(*, full: bool, seed: int, broken: Broken | None = None) -> list[Task]:
    """Every block of a run.

    Args:
        full: 10,000 rollouts of every world with a claim, 2,000 of those that are only reported; else a few hundred
            of the worlds that a broken gate shows in.
        seed: of the run.
        broken: a deliberate fault of the gates.
    """
    tasks = []
    for number, world in enumerate(all_worlds()):
        left = world.rollouts[0 if full else 1]
        for block in range(-(-left // BLOCK)):
            size = min(BLOCK, left - block * BLOCK)
            tasks.append(Task(world, size, (seed, number, block), broken))
    return tasks


def verify(
    tasks: Sequence[Task],
    *,
    full: bool,
    seed: int,
    run: Callable[[Sequence[Task]], Iterable[Block]] | None = None,
) -> Verification:
    """Runs all blocks and judges them.

    Args:
        tasks: from `tasks_of`.
        full: as there.
        seed: as there.
        run: gives the blocks of tasks, in any order; by default here, one after the other.
    """
    blocks: dict[str, list[Block]] = {}
    for block in (run or run_here)(tasks):
        blocks.setdefault(block.world, []).append(block)
    return judged(tasks, blocks, full=full, seed=seed)


def judged(tasks: Iterable[Task], blocks: Mapping[str, Sequence[Block]], *, full: bool, seed: int) -> Verification:
    """The result of blocks that were run."""
    worlds = {task.world.name: task.world for task in tasks}
    results = tuple(judge_world(world, blocks[name], full=full) for name, world in worlds.items())
    return Verification(results, full, seed)


def run_here(tasks: Sequence[Task]) -> Iterator[Block]:
    """One block after the other."""
    for task in tasks:
        yield task.run()
