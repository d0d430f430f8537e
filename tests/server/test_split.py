"""The split in force honours its time; weight 0 waits for nobody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from covey_server.split import Split, SplitBoard

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def split(weight_bp: int, effective_at: datetime, phase: str = "canary") -> Split:
    return Split(
        rollout="rollouts/x",
        uid="u",
        phase=phase,
        baseline="variants/reference",
        candidate="variants/native",
        candidate_weight_bp=weight_bp,
        effective_at=effective_at,
        shadow_share=0.01,
        limits_seconds=(0.2,),
        outcome_window_seconds=60.0,
    )


def test_an_empty_board_has_no_split() -> None:
    assert SplitBoard().current(NOW) is None
    assert SplitBoard().latest() is None


def test_the_old_split_holds_until_the_new_one_is_effective() -> None:
    board = SplitBoard()
    first, second = split(100, NOW), split(1000, NOW + SECOND, "ramp")
    board.publish(first)
    board.publish(second)
    assert board.current(NOW) == first
    assert board.current(NOW + SECOND * 0.999) == first
    assert board.current(NOW + SECOND) == second
    assert board.latest() == second


def test_a_first_split_is_not_in_force_early() -> None:
    board = SplitBoard()
    board.publish(split(100, NOW + SECOND))
    assert board.current(NOW) is None


def test_weight_zero_is_in_force_for_a_clock_that_is_behind() -> None:
    board = SplitBoard()
    board.publish(split(100, NOW))
    board.publish(split(1000, NOW + SECOND))
    zero = split(0, NOW + 3600 * SECOND)
    board.publish(zero)
    for now in (NOW - 3600 * SECOND, NOW, NOW + 7200 * SECOND):
        assert board.current(now) == zero


def test_an_end_is_in_force_at_once() -> None:
    board = SplitBoard()
    board.publish(split(100, NOW))
    board.publish(None)
    assert board.current(NOW + SECOND) is None


def test_many_publications_stay_bounded_and_right() -> None:
    board = SplitBoard()
    for step in range(1000):
        board.publish(split(step + 1, NOW + step * SECOND))
    assert len(board._splits) <= 3
    latest = board.latest()
    assert latest is not None and latest.candidate_weight_bp == 1000
    at_the_last = board.current(NOW + 998 * SECOND)
    assert at_the_last is not None and at_the_last.candidate_weight_bp == 999


def test_the_same_split_again_changes_nothing() -> None:
    board = SplitBoard()
    first, second = split(100, NOW), split(1000, NOW + SECOND)
    for published in (first, second, second, second, second):
        board.publish(published)
    assert board.current(NOW) == first
