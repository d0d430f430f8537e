"""The loop around the decision: which rollouts are due, who holds the lease, what to do when something fails."""

from __future__ import annotations

import logging

from covey.rollout.spec import with_defaults
from covey.v1 import rollouts_pb2
from covey_controller.client import ControlClient, ControlError, JournalMovedError, LeaseError, UnreachableError
from covey_controller.clock import Clock
from covey_controller.config import Config
from covey_controller.exporter import Exporter
from covey_controller.lease import Lease
from covey_controller.notify import Notifier
from covey_controller.tick import Follower
from covey_controller.traffic.rest import Rest
from covey_controller.traffic.setting import StaleEpochError
from covey_controller.workplace import Workplace

_FIRST_BACKOFF_SECONDS = 0.2
_LONGEST_BACKOFF_SECONDS = 1.0
# A journal that moves under every decision is looked at again this often before the loop waits an interval.
_MOVED_RETRIES = 3
_SHORTEST_WAIT_SECONDS = 0.01
# Between rollouts the lease is only there to keep routers where they are.
_REST_SECONDS = 5.0

_log = logging.getLogger("covey_controller")


class Loop:
    """Drives every started rollout of one target until it is asked to stop.

    The only exceptions that leave it are those of the process itself (KeyboardInterrupt, MemoryError and the like).
    """

    def __init__(self, config: Config, client: ControlClient, clock: Clock, exporter: Exporter, notifier: Notifier):
        self._config = config
        self._client = client
        self._clock = clock
        self._exporter = exporter
        self._notifier = notifier
        self._lease = Lease(client, clock, target=config.target, holder=config.holder)
        self._workplace = Workplace(config, exporter)
        self._rest = Rest(client, self._workplace.actuator, config.target)
        self._followers: dict[str, Follower] = {}
        self._moved: dict[str, int] = {}
        self._backoff_seconds = 0.0

    @property
    def xds_address(self) -> str:
        """Where clients of xDS reach this controller; empty where they cannot."""
        return self._workplace.xds_address

    @property
    def epoch(self) -> int | None:
        """Of the lease held; None while another controller drives."""
        return self._lease.epoch

    def run(self) -> None:
        """Until the clock's sleeper is told to stop; then gives the lease back."""
        try:
            while not self._clock.sleep(self.pass_once()):
                pass
        finally:
            self.close()

    def pass_once(self) -> float:
        """Looks at every rollout that is due.

        Returns:
            Seconds until the next pass.
        """
        try:
            rollouts = {rollout.name: rollout for rollout in self._client.active_rollouts(self._config.target)}
            self._follow(rollouts)
            if rollouts:
                self._rest.end()
                self._drive(rollouts)
            else:
                resting = self._rest.keep(lambda: self._lease.keep(_REST_SECONDS))
                # What happened last is told under the lease, too.
                telling = self._lease.keep(_REST_SECONDS) if self._config.sinks else None
                self._exporter.lease(resting or telling)
        except StaleEpochError as error:
            self._lease.lose(str(error))
        except UnreachableError as error:
            return self._back_off(str(error))
        except ControlError as error:
            _log.error("control port refuses: %s", error)
            return self._config.poll_seconds
        if self._backoff_seconds:
            _log.info("control port answers again")
            self._backoff_seconds = 0.0
        return self._wait_seconds()

    def _follow(self, rollouts: dict[str, rollouts_pb2.Rollout]) -> None:
        """Begins with rollouts that are new, ends with those that are over."""
        for name in self._followers.keys() - rollouts.keys():
            self._followers.pop(name).close()
            self._moved.pop(name, None)
        for name in rollouts.keys() - self._followers.keys():
            self._followers[name] = self._follower(rollouts[name])

    def _follower(self, rollout: rollouts_pb2.Rollout) -> Follower:
        return Follower(
            rollout,
            client=self._client,
            clock=self._clock,
            tools=self._workplace.tools(rollout.name, with_defaults(rollout.spec)),
            notifier=self._notifier,
            exporter=self._exporter,
        )

    def _drive(self, rollouts: dict[str, rollouts_pb2.Rollout]) -> None:
        now = self._clock.monotonic()
        due = [follower for follower in self._followers.values() if follower.due_at <= now]
        interval = max(follower.interval_seconds for follower in self._followers.values())
        epoch = self._lease.keep(interval, force=bool(due))
        self._exporter.lease(epoch)
        for follower in self._followers.values():
            rollout = rollouts[follower.name]
            if follower not in due or epoch is None:
                self._steer(follower, epoch, rollout)
            if follower not in due:
                continue
            if epoch is None:
                follower.schedule()
            else:
                self._look(follower, epoch, rollout.last_sequence)

    def _steer(self, follower: Follower, epoch: int | None, rollout: rollouts_pb2.Rollout) -> None:
        """Between two looks routers are kept at the journal's weight: one that was changed or reset is told again.

        Routers that hear of this controller alone are kept without a lease too, under the journal's own epoch.
        """
        if epoch is None and not follower.has_shared_routers:
            epoch = rollout.epoch
        if not epoch:
            return
        try:
            follower.steer(epoch, rollout.candidate_weight_bp)
        except StaleEpochError as error:
            self._lease.lose(str(error))
        except Exception:  # what one rollout's routers do must not stop the others
            _log.exception("routers not kept", extra={"rollout": follower.name})

    def _look(self, follower: Follower, epoch: int, last_sequence: int) -> None:
        soon = False
        try:
            follower.look(epoch, last_sequence)
            self._moved.pop(follower.name, None)
        except JournalMovedError:
            self._exporter.look(follower.name, "moved")
            self._moved[follower.name] = self._moved.get(follower.name, 0) + 1
            soon = self._moved[follower.name] <= _MOVED_RETRIES
        except (LeaseError, StaleEpochError) as error:
            self._exporter.look(follower.name, "refused")
            self._lease.lose(str(error))
        except UnreachableError:
            self._exporter.look(follower.name, "unreachable")
            follower.schedule(soon=True)
            raise
        except ControlError as error:
            self._exporter.look(follower.name, "refused")
            _log.error("decision refused: %s", error, extra={"rollout": follower.name})
        except Exception:  # one rollout that cannot be judged must not stop the others, nor this one for good
            self._exporter.look(follower.name, "failed")
            _log.exception("look failed", extra={"rollout": follower.name})
        follower.schedule(soon=soon)

    def _back_off(self, reason: str) -> float:
        if not self._backoff_seconds:
            _log.warning("control port does not answer: %s", reason)
        self._backoff_seconds = min(max(2 * self._backoff_seconds, _FIRST_BACKOFF_SECONDS), _LONGEST_BACKOFF_SECONDS)
        return self._backoff_seconds

    def _wait_seconds(self) -> float:
        now = self._clock.monotonic()
        waits = [follower.due_at - now for follower in self._followers.values()]
        return max(_SHORTEST_WAIT_SECONDS, min([self._config.poll_seconds, *waits]))

    def close(self) -> None:
        """Gives the lease back and ends every thread."""
        self._lease.release()
        for follower in self._followers.values():
            follower.close()
        self._followers.clear()
        self._rest.end()
        self._workplace.close()
