"""The actions that wait in a server's outbox, told to a webhook from outside of the server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from covey.client.failure import CallFailed

if TYPE_CHECKING:
    from covey.client.interventions import InterventionCalls
    from covey.interventions.telling import Delivered


class RemoteOutbox:
    """Waiting actions of a server; several may tell them, and a receiver knows what it has taken by the key.

    Args:
        client: of the server.
        playbook: whose actions; empty: of every one.
        give_up_after: refusals of an action, counted here, after which it is given up; 0: never.

    Attributes:
        is_unreachable: whether the last pass ended because no server answered.
    """

    def __init__(self, client: InterventionCalls, playbook: str = "", give_up_after: int = 0) -> None:
        self._client = client
        self._playbook = playbook
        self._give_up_after = give_up_after
        self._refusals: Counter[str] = Counter()
        self.is_unreachable = False

    def deliver(
        self,
        url: str,
        unix_seconds: Callable[[], float],
        secret: bytes | None = None,
        may_go_on: Callable[[], bool] = lambda: True,
    ) -> Delivered:
        """Tell every waiting action once, in the order in which they were planned, and note each by a call of its own.

        See `covey.interventions.telling.tell`.

        Args:
            url: http or https.
            unix_seconds: the wall clock, for signatures and for what expires.
            secret: shared with the receiver; None: unsigned.
            may_go_on: asked before each action.

        Returns:
            What was done; a server that cannot be reached ended the pass and is the problem.
        """
        from covey.interventions.telling import tell

        self.is_unreachable = False
        return tell(self._waiting(), self, url, unix_seconds, secret, may_go_on)

    def told(self, key: str) -> None:
        """Done."""
        self._advance("an action was told, and that is not noted, so it is told again under its key", done=[key])

    def refused(self, key: str) -> bool:
        """Given up where it was refused often enough."""
        self._refusals[key] += 1
        if not self._give_up_after or self._refusals[key] < self._give_up_after:
            return False
        self._advance("an action is given up, and that is not noted", given_up=[key])
        del self._refusals[key]
        return True

    def expired(self, key: str) -> None:
        """The server tells by itself what is too old."""

    def _waiting(self) -> Iterator[tuple[str, str]]:
        from covey.interventions.telling import NotNotedError

        try:
            for own in self._client.list_intervention_actions(playbook=self._playbook):
                yield own.key, own.body
        except CallFailed as failure:
            self.is_unreachable = failure.is_unreachable
            raise NotNotedError(str(failure)) from failure

    def _advance(self, problem: str, done: Sequence[str] = (), given_up: Sequence[str] = ()) -> None:
        from covey.interventions.telling import NotNotedError

        try:
            self._client.advance_intervention_actions(done, given_up)
        except CallFailed as failure:
            self.is_unreachable = failure.is_unreachable
            raise NotNotedError(f"{problem}: {failure}") from failure
