"""Telling waiting actions to a webhook, each at least once, wherever they are written down."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from covey import failpoints
from covey.webhook import DEDUPE_HEADER, SIGNATURE_HEADER, SinkError, post, signature


class NotNotedError(Exception):
    """What is written down could not be read or changed; says why."""


class Notes(Protocol):
    """Where it is written down what became of an action.

    Each may raise `NotNotedError`, which ends the pass: what was told and not noted is told again, under its key.
    """

    def told(self, key: str) -> None:
        """The receiver took it."""

    def refused(self, key: str) -> bool:
        """The receiver refuses it for good; whether it is given up by that."""

    def expired(self, key: str) -> None:
        """It is too old to be told."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What one pass over actions did.

    Attributes:
        told: actions that the receiver took.
        given_up: refused for good too often.
        expired: too old to be told (`Playbook.valid_days`).
        waiting: still to be told; None where they could not all be listed.
        problem: the last thing that was said against an action: a receiver that cannot be reached ended the pass there,
            one that refused an action for good did not; empty where every action was taken.
    """

    told: int
    given_up: int
    expired: int
    waiting: int | None
    problem: str


def tell(
    waiting: Iterable[tuple[str, str]],
    notes: Notes,
    url: str,
    unix_seconds: Callable[[], float],
    secret: bytes | None = None,
    may_go_on: Callable[[], bool] = lambda: True,
) -> Delivered:
    """Tell each action once, in their order, and note it after the receiver took it.

    Whoever dies in between tells it again under the same key. A receiver that cannot be reached ends the pass; one that
    refuses an action for good lets the next one pass. What is too old to be told expires first.

    Args:
        waiting: key and body, JSON, of each.
        notes: what became of them.
        url: http or https.
        unix_seconds: the wall clock, for signatures and for what expires.
        secret: shared with the receiver; None: unsigned.
        may_go_on: asked before each action.
    """
    told = given_up = expired = left = 0
    problem, is_over = "", False
    rows = iter(waiting)
    try:
        for key, text in rows:
            if is_over or not may_go_on():
                is_over = True
                left += 1
                continue
            if unix_seconds() * 1e6 > json.loads(text).get("valid_until_us", math.inf):
                notes.expired(key)
                expired += 1
                continue
            left += 1
            try:
                _post(key, text, url, unix_seconds, secret)
            except SinkError as error:
                problem, is_over = str(error), not error.is_permanent
                if error.is_permanent and notes.refused(key):
                    given_up, left = given_up + 1, left - 1
                continue
            failpoints.reach("intervention.told")
            notes.told(key)
            told, left = told + 1, left - 1
    except NotNotedError as error:
        return Delivered(told, given_up, expired, None, str(error))
    return Delivered(told, given_up, expired, left, problem)


def _post(key: str, text: str, url: str, unix_seconds: Callable[[], float], secret: bytes | None) -> None:
    body = text.encode()
    headers = {DEDUPE_HEADER: key}
    if secret is not None:
        headers[SIGNATURE_HEADER] = signature(secret, int(unix_seconds()), body)
    post(url, body, headers)
