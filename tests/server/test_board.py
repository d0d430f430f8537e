"""Journal, fail-safe hold and a store that nobody can read all have a say: in every order, one answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from covey.rollout import commands
from covey.rollout.state import RolloutState, apply
from covey.v1.journal_pb2 import Entry, RollbackStarted, RolloutFinished, RolloutStarted, SegmentExcluded
from covey_server.rollouts.board import BoardKeeper, Voices
from covey_server.rollouts.journal_entries import Author, Place, stamped
from covey_server.rollouts.journal_splits import split_of
from covey_server.split import SplitBoard

from .rollout_rooms import START, entered, finished, plan, rollback, tick

X, Y = "rollouts/x", "rollouts/y"


def life(name: str) -> list[RolloutState]:
    """The states of a rollout that gains weight, loses a segment, and is rolled back."""
    state: RolloutState | None = None
    states: list[RolloutState] = []
    steps = (
        *commands.create(name, f"uid-of-{name}", plan()),
        Entry(started=RolloutStarted()),
        entered("canary", 100),
        tick(),
        Entry(segment_excluded=SegmentExcluded(segment="eu", statement="segments(x) < 5 %", explanation="it falls")),
        entered("full", 10_000),
        rollback(RollbackStarted.CAUSE_TRIGGER),
        finished(RolloutFinished.OUTCOME_ROLLED_BACK),
    )
    for sequence, entry in enumerate(steps, 1):
        now = START + timedelta(seconds=sequence)
        state = apply(state, stamped(entry, Place(sequence, b"", ""), now, Author("ann")))
        states.append(state)
    return states


LIVES = {name: life(name) for name in (X, Y)}
STATES = [state for states in LIVES.values() for state in states]

steps = st.lists(
    st.one_of(
        st.tuples(st.just("journal"), st.sampled_from(STATES)),
        st.tuples(st.sampled_from(["hold", "let go"]), st.sampled_from([X, Y])),
        st.tuples(st.sampled_from(["suspend", "resume"]), st.none()),
    ),
    max_size=30,
)


def told(keeper: BoardKeeper, what: str, of: RolloutState | str | None) -> None:
    does: dict[str, Callable[[], None]] = {
        "journal": lambda: keeper.follow(of),  # type: ignore[arg-type]
        "hold": lambda: keeper.hold_at_zero(of),  # type: ignore[arg-type]
        "let go": lambda: keeper.let_go(of),  # type: ignore[arg-type]
        "suspend": keeper.suspend,
        "resume": keeper.resume,
    }
    does[what]()


@given(steps)
def test_nobody_gets_the_candidate_against_a_voice(steps: list[tuple[str, RolloutState | str | None]]) -> None:
    """Against a model that keeps the whole history and looks at it anew after every step."""
    board = SplitBoard()
    keeper = BoardKeeper(board)
    for count, (what, of) in enumerate(steps, 1):
        told(keeper, what, of)
        history = steps[:count]
        is_blind = [step for step, _ in history if step in {"suspend", "resume"}][-1:] == ["suspend"]
        holder = wanted_by(history)
        found = board.latest()
        if holder is None:
            assert found is None
            continue
        wanted = split_of(holder)
        assert wanted is not None
        assert found is not None
        objected = is_blind or is_held(history, holder.name)
        assert (found.rollout, found.excluded_segments) == (holder.name, wanted.excluded_segments)
        assert found.candidate_weight_bp == (0 if objected else wanted.candidate_weight_bp)
        assert found.shadow_share == (0 if objected else wanted.shadow_share)
        if objected:
            assert board.current(START) == found, "in force for every clock, at once"


def wanted_by(history: list[tuple[str, RolloutState | str | None]]) -> RolloutState | None:
    holder: RolloutState | None = None
    for _, said in history:
        if isinstance(said, RolloutState):
            if split_of(said) is not None:
                holder = said
            elif holder is not None and holder.name == said.name:
                holder = None
    return holder


def is_held(history: list[tuple[str, RolloutState | str | None]], name: str) -> bool:
    for what, said in reversed(history):
        if isinstance(said, RolloutState):
            split = split_of(said) if said.name == name else None
            if said.name == name and (split is None or split.candidate_weight_bp == 0):
                return False
        elif said == name:
            return what == "hold"
    return False


def test_the_history_has_every_kind_of_split() -> None:
    """So that the property above is about something."""
    weights = [None if (split := split_of(state)) is None else split.candidate_weight_bp for state in LIVES[X]]
    assert weights == [None, 0, 100, 100, 100, 10_000, 0, None]


def test_a_tick_publishes_nothing() -> None:
    """Requests read the board; what says nothing new must not touch it."""
    published: list[object] = []

    class Counting(SplitBoard):
        def publish(self, split: object) -> None:
            published.append(split)

    keeper = BoardKeeper(Counting())
    for state in LIVES[X][:4]:
        keeper.follow(state)
    assert [split.candidate_weight_bp for split in published] == [0, 100]  # type: ignore[attr-defined]


def test_voices_are_values() -> None:
    assert Voices() == Voices().hearing(LIVES[X][0])
    assert Voices().hearing(LIVES[X][2]) != Voices().hearing(LIVES[Y][2])
