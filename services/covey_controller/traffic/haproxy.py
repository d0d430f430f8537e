"""HAProxy as a router: its weight is set and read through a control socket that refuses what is older than it knows.

The socket is a frontend of HAProxy's own (`haproxy_config`): PUT offers a ticket, which HAProxy takes only where it is
greater than the one in force, under the lock of the variable; every answer shows the ticket in force. So a controller
that was asleep past its lease cannot set anything, however its last write was timed.
"""

from __future__ import annotations

import http.client
import logging
import re
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from covey import failpoints
from covey.rollout.traffic import host_and_port
from covey.v1 import evidence_pb2 as pb
from covey.v1.rollout_spec_pb2 import RolloutSpec
from covey_controller.scrape import AbsenceError, scrape_failed
from covey_controller.traffic.actuator import RouterReading, shows
from covey_controller.traffic.haproxy_config import TICKET_HEADER, what_it_splits
from covey_controller.traffic.setting import Setting, StaleEpochError, next_setting

DEADLINE_SECONDS = 1.0
"""Of each step of a call: HAProxy answers by itself, without a backend."""
_ANSWER = re.compile(
    r"ticket=(?P<ticket>\d{1,19}) start_ms=(?P<start>\d{1,16}) splits=(?P<splits>\S+)"
    r"(?: reached=(?P<baseline>\d{1,4})/(?P<candidate>\d{1,4}))?\n?\Z"
)
_LONGEST_ANSWER = 1000

_log = logging.getLogger("covey_controller")


@dataclass(frozen=True)
class Shown:
    """What HAProxy answers.

    Attributes:
        setting: the ticket in force.
        start_time_seconds: of this process, Unix seconds.
        splits: for whom it was configured.
        reached: processes of each variant that pass its own check; None by a configuration that does not tell.
    """

    setting: Setting
    start_time_seconds: float
    splits: str
    reached: pb.ReachedProcesses | None = None


class Haproxy:
    """All HAProxy processes of one target.

    Args:
        spec: with defaults: whose traffic is split, between whom, by what, and where the control sockets are.
    """

    is_shared = True

    def __init__(self, spec: RolloutSpec) -> None:
        self._routers = tuple(spec.traffic.haproxy.routers)
        self._splits = what_it_splits(spec)
        self._pool = ThreadPoolExecutor(max_workers=len(self._routers), thread_name_prefix="covey-haproxy")

    def keep(self, epoch: int, weight_bp: int) -> Sequence[RouterReading]:
        """See `Actuator.keep`. All routers are asked at once, so that a hanging one delays the others by nothing."""
        asked = [(router, self._pool.submit(self._keep, router, epoch, weight_bp)) for router in self._routers]
        stale: StaleEpochError | None = None
        found: list[RouterReading] = []
        for router, future in asked:
            name = f"haproxy {router}"
            try:
                found.append((name, future.result()))
            except AbsenceError as absence:
                found.append((name, absence))
            except StaleEpochError as error:
                stale = StaleEpochError(f"{name}: {error}")
        if stale is not None:
            raise stale
        return found

    def _keep(self, router: str, epoch: int, weight_bp: int) -> pb.ReplicaReading:
        shown = self._checked(exchange(router))
        wanted = next_setting(shown.setting, epoch, weight_bp)
        if wanted is not None:
            failpoints.reach("router.before_set")
            exchange(router, wanted.ticket)
            failpoints.reach("router.set")
            _log.info(
                "weight set",
                extra={"router": router, "epoch": epoch, "weight_bp": weight_bp, "before_bp": shown.setting.weight_bp},
            )
            # Another question than the one that set it: what counts is what a later call finds.
            shown = self._checked(exchange(router))
            if shown.setting.epoch > epoch:
                raise StaleEpochError(f"it was set under epoch {shown.setting.epoch}, this is {epoch}")
        return shows(f"haproxy {router}", shown.setting.weight_bp, shown.start_time_seconds, shown.reached)

    def _checked(self, shown: Shown) -> Shown:
        if shown.splits != self._splits:
            raise scrape_failed(
                f"it splits {shown.splits}, the plan {self._splits}: another target, header, baseline or candidate; "
                "write its configuration anew with `covey router haproxy`"
            )
        return shown

    def close(self) -> None:
        """Ends the threads; HAProxy goes on with the weight that it has."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def exchange(router: str, ticket: int | None = None) -> Shown:
    """Asks a control socket, after offering a ticket where there is one.

    Raises:
        AbsenceError: SCRAPE_FAILED where no whole answer of such a socket comes in time.
    """
    connection = http.client.HTTPConnection("haproxy")
    try:
        connection.sock = _connected(router)
        headers = {"Connection": "close"} | ({} if ticket is None else {TICKET_HEADER: str(ticket)})
        connection.request("GET" if ticket is None else "PUT", "/", headers=headers)
        with connection.getresponse() as response:
            text = response.read(_LONGEST_ANSWER).decode("ascii", "replace")
    except (OSError, http.client.HTTPException) as error:
        raise scrape_failed(f"{router}: {type(error).__name__}: {error}") from error
    finally:
        connection.close()
    match = _ANSWER.match(text)
    if match is None:
        raise scrape_failed(f"{router} answers {text[:80]!r}; it is no control socket that covey configured")
    try:
        setting = Setting.of_ticket(int(match["ticket"]))
    except ValueError as error:
        raise AbsenceError(pb.ABSENCE_TYPE_NAN, "", f"{router}: {error}") from error
    reached = None
    if match["baseline"] is not None:
        counts = int(match["baseline"]), int(match["candidate"])
        reached = pb.ReachedProcesses(baseline_count=counts[0], candidate_count=counts[1])
    return Shown(setting, int(match["start"]) / 1000, match["splits"], reached)


def _connected(router: str) -> socket.socket:
    if router.startswith("unix:"):
        plain = socket.socket(socket.AF_UNIX)
        plain.settimeout(DEADLINE_SECONDS)
        try:
            plain.connect(router.removeprefix("unix:"))
        except OSError:
            plain.close()
            raise
        return plain
    return socket.create_connection(host_and_port(router), timeout=DEADLINE_SECONDS)
