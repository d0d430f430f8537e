"""All looks, one after the other; each survives what the others meet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from covey import __version__
from covey.access.addresses import is_loopback
from covey.access.certificates import Certificates
from covey.client import CallFailed, Client
from covey.doctor import judgements
from covey.doctor.disk import examine_disk
from covey.doctor.findings import Finding, fail, ok, warn
from covey.doctor.places import Places
from covey.doctor.wire import Answer, PageError, examine_certificate, fetch, serves
from covey.errors import InputError

CHECKS = ("machine", "disk", "certificate", "serving", "data", "control", "metrics", "controller")
"""What can be looked at alone."""

Version = Callable[[Path], tuple[int | None, int]]


class Examination:
    """One visit.

    Args:
        places: where to look.
        version: of the tables of a data directory, and the newest known.
        seconds: for each call.
        wall: seconds since 1970.
        monotonic: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        places: Places,
        version: Version,
        seconds: float = 3.0,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._places = places
        self._version = version
        self._seconds = seconds
        self._wall = wall
        self._monotonic = monotonic
        self._offsets: list[tuple[float, float]] = []

    def findings(self, only: Iterable[str] = ()) -> Iterator[Finding]:
        """Everything that is found, as it is found.

        Args:
            only: some of `CHECKS`; none: all of them.
        """
        wanted = set(only) or set(CHECKS)
        begun = self._wall(), self._monotonic()
        for check in CHECKS:
            if check in wanted:
                yield from getattr(self, f"_{check}")()
        if {"metrics", "controller"} & wanted and self._offsets:
            yield judgements.clock(*min(self._offsets, key=lambda pair: pair[1]))
        jumped = judgements.steadiness(self._wall() - begun[0], self._monotonic() - begun[1])
        if jumped is not None:
            yield jumped

    def _machine(self) -> Iterator[Finding]:
        from covey import _core

        try:
            yield judgements.isa(_core.active_isa(), list(_core.available_isas()))
        except ValueError as error:
            yield fail("machine", f"COVEY_ISA: {error}", "unset it, or name one that this machine has")

    def _disk(self) -> Iterator[Finding]:
        places = self._places
        if places.data_directory is not None:
            yield from examine_disk(places.data_directory, places.ballast_bytes, self._version)

    def _certificate(self) -> Iterator[Finding]:
        places = self._places
        if places.tls is not None:
            try:
                left = Certificates(places.tls).not_after().timestamp() - self._wall()
                yield judgements.certificate(str(places.tls.certificate), left)
            except InputError as error:
                yield fail("certificate", str(error), "replace both files by a pair that belongs together")
        for address in (places.control, places.data):
            if places.security.uses_tls(address):
                yield examine_certificate(address, places.security, self._seconds, self._wall)
            elif not is_loopback(address):
                yield warn(
                    "certificate", f"{address}: plaintext beyond this machine", "start the server with --tls-cert"
                )

    def _serving(self) -> Iterator[Finding]:
        try:
            said = serves(self._places.metrics, self._places.security, self._seconds)
        except PageError as error:
            yield fail("serving", str(error), error.remedy)
        else:
            yield ok("serving", f"the server says {said.text}")

    def _data(self) -> Iterator[Finding]:
        with self._client() as client:
            try:
                told = client.get_server_info()
            except (CallFailed, ValueError) as error:
                yield _failed("data", error)
                return
        if told.version != __version__:
            yield warn("data", f"{told.replica} is covey {told.version}, this is {__version__}", "use the same of both")
        else:
            yield ok("data", f"{told.replica} answers at {self._places.data}: covey {told.version}, {told.active_isa}")
        if told.faults_enabled:
            yield warn("data", "the server may fail on purpose", "start it without --enable-faults where it matters")

    def _control(self) -> Iterator[Finding]:
        with self._client() as client:
            try:
                caller = client.get_caller()
            except (CallFailed, ValueError) as error:
                yield _failed("control", error)
                return
        yield ok("control", f"answers at {self._places.control}")
        if caller.proven:
            yield ok("token", f"known as {caller.principal}: {', '.join(caller.roles)}")
        elif self._places.security.has_token:
            yield warn("token", "the server asks nobody who they are", "start it with --tokens")
        else:
            yield ok("token", "none is asked for: everybody on this machine may do everything")

    def _metrics(self) -> Iterator[Finding]:
        try:
            answer = self._page(self._places.metrics)
            values = worst_values(answer.text, "covey_")
        except PageError as error:
            yield fail("metrics", str(error), error.remedy)
            return
        except ValueError as error:
            yield fail("metrics", f"{self._places.metrics}: no metrics page ({error})", "name covey's metrics port")
            return
        if "covey_build_info" not in values:
            yield fail("metrics", f"{self._places.metrics}: not a server's page", "name the server's metrics port")
            return
        yield ok("metrics", f"{len(values)} metrics at {self._places.metrics}")
        yield from judgements.store_gauges(values)

    def _controller(self) -> Iterator[Finding]:
        driven, intervals = self._ticks()
        try:
            page = worst_values(self._page(self._places.controller_metrics).text, "covey_controller_")
            epoch: float | None = page.get("covey_controller_lease_epoch")
        except (PageError, ValueError) as error:
            refused = isinstance(error, PageError) and "HTTP 40" in str(error)
            if refused:
                yield warn("controller", str(error), getattr(error, "remedy", ""))
            epoch = None
        yield from judgements.controller(driven, intervals, epoch)

    def _ticks(self) -> tuple[dict[str, float], dict[str, float]]:
        """Time since the last tick of each rollout that runs, and its interval, by the server's page."""
        try:
            text = self._page(self._places.metrics).text
            ticks = by_rollout(text, "covey_rollout_last_tick_timestamp_seconds")
            intervals = by_rollout(text, "covey_rollout_tick_interval_seconds")
        except (PageError, ValueError):
            return {}, {}
        return {rollout: self._wall() - tick for rollout, tick in ticks.items()}, intervals

    def _page(self, url: str) -> Answer:
        begun = self._wall()
        answer = fetch(url, self._places.security, self._seconds)
        ended = self._wall()
        if answer.date is not None:
            # The header has whole seconds: on average half of one is gone.
            self._offsets.append((answer.date + 0.5 - (begun + ended) / 2, 0.5 + (ended - begun) / 2))
        return answer

    def _client(self) -> Client:
        places = self._places
        return Client(
            control=places.control,
            data=places.data,
            actor="doctor",
            timeout_seconds=self._seconds,
            security=places.security,
        )


def worst_values(text: str, prefix: str) -> dict[str, float]:
    """The largest value of every series name with a prefix.

    Raises:
        ValueError: the text is no metrics page.
    """
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name.startswith(prefix):
                found[sample.name] = max(found.get(sample.name, sample.value), sample.value)
    return found


def by_rollout(text: str, name: str) -> dict[str, float]:
    """Values of a series by its label `rollout`.

    Raises:
        ValueError: the text is no metrics page.
    """
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {sample.labels["rollout"]: sample.value for sample in samples if sample.name == name}


def _failed(check: str, error: Exception) -> Finding:
    if isinstance(error, CallFailed):
        remedy = (error.remedy or "look at the server's log").replace("--control", f"--{check}")
        return fail(
            check, f"{error.code.name}: {error.message}", remedy.replace("COVEY_CONTROL", f"COVEY_{check.upper()}")
        )
    return fail(check, str(error), "correct the option that it names")
