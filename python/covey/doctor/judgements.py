"""From measurements to findings: pure, with the limits in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from covey.doctor.findings import Finding, fail, ok, warn

CERTIFICATE_WARN_DAYS = 14
_CLOCK_WARN_SECONDS = 2.0
_CLOCK_FAIL_SECONDS = 30.0
_JUMP_SECONDS = 0.5
_SYNC_WARN_SECONDS = 0.05
_SYNC_FAIL_SECONDS = 1.0
_SPACE_WARN_BYTES = 1 << 30
_SPACE_FAIL_BYTES = 16 << 20
_SILENT_INTERVALS = 3
_SILENT_SECONDS = 30.0


def isa(active: str, available: Sequence[str]) -> Finding:
    """The kernels' instruction set against what the machine has."""
    best = available[0] if available else active
    if active == best and active != "baseline":
        return ok("machine", f"kernels use {active}")
    if active == best:
        return warn("machine", "kernels use baseline instructions", "analyses are slower here; AVX2 is what they want")
    return warn("machine", f"kernels use {active}, the machine has {best}", "unset COVEY_ISA unless that is on purpose")


def space(free_bytes: int, place: str) -> Finding:
    """Free space of the data directory's file system."""
    said = f"{_bytes(free_bytes)} free at {place}"
    if free_bytes < _SPACE_FAIL_BYTES:
        return fail("space", said, "free some: when there is none, only rollbacks are recorded")
    if free_bytes < _SPACE_WARN_BYTES:
        return warn("space", said, "free some, or grow the volume, before it is full")
    return ok("space", said)


def sync_time(seconds: float) -> Finding:
    """How long a small synced write takes: what every acknowledgement waits for."""
    said = f"a synced write takes {seconds * 1e3:.1f} ms (median)"
    if seconds > _SYNC_FAIL_SECONDS:
        return fail("sync", said, "the disk is far too slow, or hangs: look at it and at the kernel's log")
    if seconds > _SYNC_WARN_SECONDS:
        return warn("sync", said, "every acknowledgement waits for one: use a faster disk, or find who else writes")
    return ok("sync", said)


def version(found: int | None, newest: int) -> Finding:
    """Version of the store's tables against this program's."""
    if found is None:
        return ok("store", "no store there yet; the first start makes one")
    if found > newest:
        return fail(
            "store", f"tables of version {found}, this covey knows {newest}", "run the covey that wrote them, or newer"
        )
    if found < newest:
        return warn("store", f"tables of version {found}, {newest} is the newest", "the next start brings them forward")
    return ok("store", f"tables of version {found}")


def ballast(kept_bytes: int, wanted_bytes: int | None) -> Finding:
    """Space set aside for rollbacks; wanted is None where nobody says."""
    if wanted_bytes == 0:
        return warn("ballast", "none is wanted", "set ballast_kilobytes, so that rollbacks are recorded on a full disk")
    if kept_bytes == 0 or (wanted_bytes is not None and kept_bytes < wanted_bytes):
        return warn("ballast", "none is set aside", "a server sets it aside when it runs and there is space")
    return ok("ballast", f"{_bytes(kept_bytes)} set aside for rollbacks")


def certificate(what: str, seconds_left: float, names: Sequence[str] = ()) -> Finding:
    """When a certificate that is trusted ends."""
    days = seconds_left / 86_400
    called = f" for {', '.join(names)}" if names else ""
    if seconds_left <= 0:
        return fail("certificate", f"{what}: ended {-days:.0f} days ago", "replace it; no restart is needed")
    if days < CERTIFICATE_WARN_DAYS:
        return warn("certificate", f"{what}: ends in {days:.1f} days", "replace it; no restart is needed")
    return ok("certificate", f"{what}{called}: ends in {days:.0f} days")


def clock(offset_seconds: float, uncertainty_seconds: float) -> Finding:
    """This machine's clock against the server's; positive: the server is ahead."""
    beyond = max(0.0, abs(offset_seconds) - uncertainty_seconds)
    said = (
        f"the server's clock is {abs(offset_seconds):.1f} s {'ahead of' if offset_seconds > 0 else 'behind'} this one"
    )
    remedy = "let both follow a time server: calendars, expiry and labels are by the wall clock"
    if beyond > _CLOCK_FAIL_SECONDS:
        return fail("clock", said, remedy)
    if beyond > _CLOCK_WARN_SECONDS:
        return warn("clock", said, remedy)
    return ok("clock", f"the server's clock agrees within {uncertainty_seconds + _CLOCK_WARN_SECONDS:.1f} s")


def steadiness(wall_seconds: float, monotonic_seconds: float) -> Finding | None:
    """Whether the wall clock went as the monotonic one while the doctor looked; None: it did."""
    jump = wall_seconds - monotonic_seconds
    if abs(jump) <= _JUMP_SECONDS:
        return None
    return warn(
        "clock", f"the wall clock jumped by {jump:+.1f} s while it was looked at", "find out who sets the clock"
    )


def store_gauges(values: Mapping[str, float]) -> list[Finding]:
    """What the server itself says of its store; `values` by name of the series, the worst of each."""
    found = []
    unwritable = values.get("covey_store_unwritable_seconds", 0.0)
    if unwritable > 1:
        found.append(fail("store", f"not written for {unwritable:.0f} s, says the server", "see CoveyStoreNotWritable"))
    unread = values.get("covey_store_unread_seconds", 0.0)
    if unread > 5:
        found.append(fail("store", f"not read for {unread:.0f} s, says the server", "see CoveyStoreNotReadable"))
    unfollowed = values.get("covey_store_unfollowed_seconds", 0.0)
    if unfollowed > 10:
        found.append(fail("store", f"others were not followed for {unfollowed:.0f} s", "see CoveyStoreFollowedLate"))
    kept, wanted = values.get("covey_store_ballast_bytes", 0.0), values.get("covey_store_ballast_wanted_bytes", 0.0)
    if kept < wanted:
        found.append(fail("ballast", "the disk is full, says the server", "free space; see CoveyBallastMissing"))
    return found


def controller(driven: Mapping[str, float], intervals: Mapping[str, float], epoch: float | None) -> list[Finding]:
    """Whether somebody drives.

    Args:
        driven: time since the last tick of each rollout that runs, by the journal.
        intervals: time between two ticks of each.
        epoch: of the lease of the controller that was asked; None: none answers.
    """
    found = []
    for rollout, seconds in sorted(driven.items()):
        if seconds > _SILENT_INTERVALS * intervals.get(rollout, 0.0) + _SILENT_SECONDS:
            found.append(
                fail(
                    "controller",
                    f"{rollout}: no controller has looked for {timedelta(seconds=round(seconds))}",
                    "start one: covey-controller; see CoveyControllerSilent",
                )
            )
        else:
            found.append(ok("controller", f"{rollout}: looked at {seconds:.0f} s ago"))
    if epoch is None:
        said = "no controller answers here"
        remedy = "start one, or name its page with --controller-metrics"
        found.append(ok("controller", f"{said}, one elsewhere drives") if driven and not found_bad(found) else warn(
            "controller", said, remedy))  # fmt: skip
    elif epoch == 0:
        standing = "it stands by: another one drives, or nothing is to be driven"
        found.append(ok("controller", f"answers; {standing}"))
    else:
        found.append(ok("controller", f"answers; its lease has epoch {epoch:.0f}"))
    return found


def found_bad(findings: Sequence[Finding]) -> bool:
    """Whether one of them is no ok."""
    return any(finding.remedy for finding in findings)


def _bytes(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
