"""Tickets: a later setting has a greater one, and no older epoch ever comes after."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from covey_controller.traffic.setting import Setting, StaleEpochError, next_setting

EPOCHS = st.integers(1, (1 << 25) - 1)
SETTINGS = st.builds(Setting, EPOCHS, st.integers(0, (1 << 20) - 2), st.integers(0, 10_000))


@given(SETTINGS, SETTINGS)
def test_tickets_are_ordered_as_settings_and_fit_what_haproxy_counts_with(one: Setting, other: Setting) -> None:
    assert (one < other) == (one.ticket < other.ticket)
    assert Setting.of_ticket(one.ticket) == one
    assert one.ticket < 10**18


@given(SETTINGS, EPOCHS, st.integers(0, 10_000))
def test_what_comes_next_is_greater_and_right_or_refused(shown: Setting, epoch: int, weight_bp: int) -> None:
    try:
        wanted = next_setting(shown, epoch, weight_bp)
    except StaleEpochError:
        assert shown.epoch > epoch
        return
    if wanted is None:
        assert (shown.epoch, shown.weight_bp) == (epoch, weight_bp)
    else:
        assert wanted.ticket > shown.ticket
        assert (wanted.epoch, wanted.weight_bp) == (epoch, weight_bp)
        assert next_setting(wanted, epoch, weight_bp) is None


def test_a_new_epoch_raises_the_fence_even_at_the_same_weight() -> None:
    assert next_setting(Setting(3, 7, 100), 4, 100) == Setting(4, 0, 100)


@pytest.mark.parametrize("ticket", [-1, 10_001, 1 << 63])
def test_what_is_no_ticket_is_refused(ticket: int) -> None:
    with pytest.raises(ValueError, match="no ticket"):
        Setting.of_ticket(ticket)


@pytest.mark.parametrize(("epoch", "weight_bp"), [(0, 0), (1 << 25, 0), (1, -1), (1, 10_001)])
def test_what_no_ticket_can_carry_is_refused(epoch: int, weight_bp: int) -> None:
    with pytest.raises(ValueError, match="fits no ticket"):
        next_setting(Setting(), epoch, weight_bp)


def test_an_epoch_that_has_used_up_its_changes_says_so() -> None:
    with pytest.raises(ValueError, match="start the controller anew"):
        next_setting(Setting(1, (1 << 20) - 1, 5), 1, 6)
