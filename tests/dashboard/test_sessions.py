"""Sessions: they end by themselves, they are few, and their secrets are not seen."""

from __future__ import annotations

from itertools import count

from covey_dashboard.person import Person
from covey_dashboard.sessions import CHECK_SECONDS, IDLE_SECONDS, LIFE_SECONDS, Sessions, same_secret

ADA = Person("ada")


class Hands:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def made(clock: Hands, most: int = 3) -> Sessions:
    numbers = count()
    return Sessions(clock, lambda: f"secret-{next(numbers)}", most)


def test_a_session_ends_when_nobody_uses_it() -> None:
    clock = Hands()
    sessions = made(clock)
    session = sessions.open(ADA, "token")
    clock.now += IDLE_SECONDS
    assert sessions.find(session.id) is not None
    clock.now += IDLE_SECONDS + 1
    assert sessions.find(session.id) is None
    assert sessions.find(session.id) is None


def test_a_session_ends_however_much_it_is_used() -> None:
    clock = Hands()
    sessions = made(clock)
    session = sessions.open(ADA, "token")
    while clock.now + 60 <= LIFE_SECONDS:
        clock.now += 60
        assert sessions.find(session.id) is not None
    clock.now += 61
    assert sessions.find(session.id) is None


def test_the_least_recently_used_makes_room() -> None:
    sessions = made(Hands())
    first, second, third = (sessions.open(ADA, "") for _ in range(3))
    assert sessions.find(first.id) is not None
    fourth = sessions.open(ADA, "")
    assert sessions.find(second.id) is None
    assert all(sessions.find(each.id) for each in (first, third, fourth))


def test_what_the_server_said_is_asked_again_after_a_while() -> None:
    clock = Hands()
    sessions = made(clock)
    session = sessions.open(ADA, "token")
    assert not sessions.is_stale(session)
    clock.now += CHECK_SECONDS + 1
    assert sessions.is_stale(session)
    grace = Person("ada", roles=frozenset({"operator"}))
    again = sessions.confirm(session, grace)
    assert again is not None
    assert not sessions.is_stale(again)
    assert sessions.find(session.id).person == grace  # type: ignore[union-attr]
    sessions.close(session.id)
    assert sessions.confirm(again, grace) is None


def test_secrets_are_not_shown() -> None:
    session = made(Hands()).open(ADA, "covey_token")
    assert "covey_token" not in repr(session)
    assert session.id not in repr(session)
    assert session.form_token not in repr(session)


def test_an_empty_secret_is_nobodys() -> None:
    assert same_secret("a", "a")
    assert not same_secret("", "")
    assert not same_secret("ä", "a")
