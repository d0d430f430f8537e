"""The control port as the controller uses it: deadlines on every call, and four kinds of no."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import grpc
from google.protobuf.duration_pb2 import Duration

from covey.client.channel import Security
from covey.client.channel import open_channel as open_client_channel
from covey.client.failure import call_failed
from covey.v1 import journal_pb2, notifications_pb2, rollouts_pb2, rollouts_pb2_grpc

_PAGE_SIZE = 200
_CHANNEL_OPTIONS = (
    # A server that restarts is found again within a tick; the library's own default waits up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.enable_retries", 0),
)

_Answer = TypeVar("_Answer")


class ControlError(Exception):
    """The control port said no in a way that asks for people."""


class UnreachableError(ControlError):
    """No answer: it may have happened or not."""


class JournalMovedError(ControlError):
    """Somebody wrote to the journal since it was read: decide anew."""


class LeaseError(ControlError):
    """Another controller holds the lease, or ours is over."""


_KINDS: dict[grpc.StatusCode, type[ControlError]] = {
    grpc.StatusCode.UNAVAILABLE: UnreachableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: UnreachableError,
    grpc.StatusCode.CANCELLED: UnreachableError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: UnreachableError,
    grpc.StatusCode.ABORTED: JournalMovedError,
}
_ENDED = frozenset(
    {rollouts_pb2.Rollout.STATE_SUCCEEDED, rollouts_pb2.Rollout.STATE_ROLLED_BACK, rollouts_pb2.Rollout.STATE_ABORTED}
)
_LEASE_REASONS = frozenset({"LEASE_HELD", "STALE_EPOCH"})


def open_channel(address: str, security: Security | None = None) -> grpc.Channel:
    """A channel that finds a restarted server quickly.

    Raises:
        ValueError: a file of `security` cannot be used.
    """
    return open_client_channel(address, security or Security(), _CHANNEL_OPTIONS)


class ControlClient:
    """RolloutService for a controller. Every method raises a ControlError and nothing else."""

    def __init__(
        self, channel: grpc.Channel, *, actor: str, call_seconds: float, security: Security | None = None
    ) -> None:
        self._stub = rollouts_pb2_grpc.RolloutServiceStub(channel)
        self._actor = actor
        self._security = security or Security()
        self._call_seconds = call_seconds

    def _call(self, method: Callable[..., _Answer], request: object) -> _Answer:
        try:
            metadata = (("covey-actor", self._actor), *self._security.call_metadata())
            return method(request, timeout=self._call_seconds, metadata=metadata)
        except ValueError as error:
            raise ControlError(str(error)) from error
        except grpc.RpcError as error:
            failure = call_failed(error, "the control port", self._call_seconds)
            kind = LeaseError if failure.details.reason in _LEASE_REASONS else _KINDS.get(failure.code, ControlError)
            raise kind(f"{failure.code.name}: {failure.message}") from error

    def active_rollouts(self, target: str) -> list[rollouts_pb2.Rollout]:
        """The target's rollouts that are started and not over."""
        rollouts: list[rollouts_pb2.Rollout] = []
        token = ""
        while True:
            request = rollouts_pb2.ListRolloutsRequest(active_only=True, page_size=_PAGE_SIZE, page_token=token)
            answer = self._call(self._stub.ListRollouts, request)
            rollouts.extend(answer.rollouts)
            token = answer.next_page_token
            if not token:
                break
        draft = rollouts_pb2.Rollout.STATE_DRAFT
        return [rollout for rollout in rollouts if rollout.spec.target == target and rollout.state != draft]

    def last_ended(self, target: str) -> rollouts_pb2.Rollout | None:
        """The target's newest rollout that is over after having begun; None where there is none."""
        token = ""
        while True:
            request = rollouts_pb2.ListRolloutsRequest(page_size=_PAGE_SIZE, page_token=token)
            answer = self._call(self._stub.ListRollouts, request)
            for rollout in answer.rollouts:
                if rollout.spec.target == target and rollout.state in _ENDED and rollout.phase:
                    return rollout
            token = answer.next_page_token
            if not token:
                return None

    def entries(self, name: str, page_token: str) -> Iterator[tuple[str, Sequence[journal_pb2.Entry]]]:
        """Pages of a journal from a token on, each with the token it was asked with.

        The journal only grows, so the last page asked again with its own token has what came since.
        """
        while True:
            request = rollouts_pb2.ListEntriesRequest(parent=name, page_size=_PAGE_SIZE, page_token=page_token)
            answer = self._call(self._stub.ListEntries, request)
            yield page_token, answer.entries
            if not answer.next_page_token:
                return
            page_token = answer.next_page_token

    def acquire_lease(self, target: str, holder: str, seconds: float) -> int:
        """Takes or renews the lease; returns its epoch."""
        request = rollouts_pb2.AcquireLeaseRequest(
            target=target, holder=holder, time_to_live=_duration(seconds), request_id=str(uuid.uuid4())
        )
        return self._call(self._stub.AcquireLease, request).epoch

    def release_lease(self, target: str, holder: str) -> None:
        """Gives the lease back."""
        request = rollouts_pb2.AcquireLeaseRequest(
            target=target, holder=holder, release=True, request_id=str(uuid.uuid4())
        )
        self._call(self._stub.AcquireLease, request)

    def commit(
        self, name: str, epoch: int, expected_sequence: int, entries: Sequence[journal_pb2.Entry], request_id: str
    ) -> Sequence[journal_pb2.Entry]:
        """Writes the entries of one tick, all or none; returns them as recorded."""
        request = rollouts_pb2.CommitDecisionRequest(
            name=name, epoch=epoch, expected_sequence=expected_sequence, entries=entries, request_id=request_id
        )
        return self._call(self._stub.CommitDecision, request).entries

    def pull_notifications(self, sink: str, target: str, epoch: int) -> Sequence[notifications_pb2.Notification]:
        """What a sink has not been told, oldest first."""
        request = notifications_pb2.PullNotificationsRequest(sink=sink, target=target, epoch=epoch)
        return self._call(self._stub.PullNotifications, request).notifications

    def advance_notifications(self, sink: str, name: str, sequence: int, epoch: int, request_id: str) -> None:
        """Notes that a sink has been told everything up to an entry."""
        request = notifications_pb2.AdvanceNotificationsRequest(
            sink=sink, name=name, sequence=sequence, epoch=epoch, request_id=request_id
        )
        self._call(self._stub.AdvanceNotifications, request)


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration
