"""Who is served what: one pure function of what the journal wants, what is held at 0, and whether the store is seen."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from covey_server.rollouts.journal_splits import split_of
from covey_server.split import Split, SplitBoard

if TYPE_CHECKING:
    from covey.rollout.state import RolloutState


@dataclass(frozen=True, slots=True)
class Voices:
    """Everybody who has a say in the split, as they were last heard.

    Attributes:
        wanted: by the journal.
        held: rollouts whose weight was taken away ahead of their journal, until it has weight 0 itself.
        is_blind: whether nobody knows what the journal says.
    """

    wanted: Split | None = None
    held: frozenset[str] = frozenset()
    is_blind: bool = False

    @property
    def in_force(self) -> Split | None:
        """The split that requests may see: the wanted one, or its baseline alone where somebody objects."""
        if self.wanted is not None and (self.is_blind or self.wanted.rollout in self.held):
            return replace(self.wanted, candidate_weight_bp=0, shadow_share=0.0, is_over=True)
        return self.wanted

    def hearing(self, state: RolloutState) -> Voices:
        """After the journal of a rollout has said `state`."""
        split = split_of(state)
        held = self.held - {state.name} if split is None or split.candidate_weight_bp == 0 else self.held
        # A rollout that asks for nothing has no say in what another one has.
        has_a_say = split is not None or (self.wanted is not None and self.wanted.rollout == state.name)
        return replace(self, wanted=split if has_a_say else self.wanted, held=held)


class BoardKeeper:
    """Keeps the board at what the voices amount to.

    Args:
        board: where requests read the split.
    """

    def __init__(self, board: SplitBoard) -> None:
        self._board = board
        # Between the journal, which follows under the writer's lock, and those who do not wait for it.
        self._lock = threading.Lock()
        self._voices = Voices()

    def follow(self, state: RolloutState) -> None:
        """Let the journal speak; called under the writer's lock, after the commit."""
        self._hear(lambda voices: voices.hearing(state))

    def hold_at_zero(self, rollout: str) -> None:
        """Take the candidate's weight away at once, ahead of a journal that cannot be written, and keep it away."""
        self._hear(lambda voices: replace(voices, held=voices.held | {rollout}))

    def let_go(self, rollout: str) -> None:
        """Give a rollout the weight of its journal again: it refused to take it away."""
        self._hear(lambda voices: replace(voices, held=voices.held - {rollout}))

    def suspend(self) -> None:
        """Let the baseline serve everybody until `resume`: nobody knows what the journal says."""
        self._hear(lambda voices: replace(voices, is_blind=True))

    def resume(self) -> None:
        """Let the journal's split hold again."""
        self._hear(lambda voices: replace(voices, is_blind=False))

    def _hear(self, said: Callable[[Voices], Voices]) -> None:
        with self._lock:
            voices = said(self._voices)
            if voices != self._voices:
                self._voices = voices
                self._board.publish(voices.in_force)
