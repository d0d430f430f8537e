"""The steps of an upgrade in order, or why it would not be safe: a pure function of what is seen."""

from __future__ import annotations

from dataclasses import dataclass

from covey.upgrade.seen import ReplicaSeen, Seen

_MOVING = frozenset({"ROLLING_BACK"})


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do.

    Attributes:
        title: what.
        command: typed where the process runs.
        checks: how one sees that it worked.
        back: how to undo it.
    """

    title: str
    command: str
    checks: str
    back: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not now.

    Attributes:
        reason: what is so.
        remedy: what to do.
    """

    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do.

    Attributes:
        summary: from what to what.
        steps: in order; empty where there is nothing to do or something is refused.
        refusals: empty where it is safe.
        notes: what to know beside it.
    """

    summary: str
    steps: tuple[Step, ...]
    refusals: tuple[Refusal, ...]
    notes: tuple[str, ...]


def is_done(replica: ReplicaSeen, seen: Seen) -> bool:
    """Whether a replica runs the new code."""
    return replica.version == seen.version and replica.tables >= seen.tables


def plan_of(seen: Seen, *, restart_server: str, restart_controller: str) -> Plan:
    """The plan of an upgrade to the covey that asks.

    Args:
        seen: of the installation.
        restart_server: command that starts a server anew with the code that is installed; {replica} is its name.
        restart_controller: the same of the controller.
    """
    refusals = tuple(_refusals(seen))
    late = [replica for replica in seen.replicas if not is_done(replica, seen)]
    ends = not refusals and seen.store.tables < seen.tables
    summary = _summary(seen, late)
    if refusals or not (late or ends):
        return Plan(summary, (), refusals, ())
    steps = [_copy(seen)]
    steps += [_replace(seen, replica, restart_server) for replica in late]
    if late:
        steps.append(_replace_controller(restart_controller))
    if ends and seen.store.is_shared:
        steps.append(_end(seen, restart_server))
    return Plan(summary, tuple(steps), (), tuple(_notes(seen, late)))


def _summary(seen: Seen, late: list[ReplicaSeen]) -> str:
    running = sorted({replica.version or "an unknown version" for replica in seen.replicas})
    tables = f"tables of version {seen.store.tables} to {seen.tables}" if seen.store.tables != seen.tables else ""
    done = len(seen.replicas) - len(late)
    under_way = f"{done} of {len(seen.replicas)} replicas are done" if done and late else ""
    if not late and not tables:
        return f"covey {seen.version} runs everywhere; there is nothing to do"
    said = f"covey {', '.join(running)} to {seen.version}"
    return "; ".join(part for part in (said, tables, under_way) if part)


def _refusals(seen: Seen) -> list[Refusal]:
    store = seen.store
    found: list[Refusal] = []
    for replica in seen.replicas:
        if replica.problem:
            found.append(
                Refusal(
                    f"the replica at {replica.data} does not answer ({replica.problem})",
                    "bring it back, or leave it out for good: with one away, restarting another leaves too few",
                )
            )
        elif not replica.is_serving:
            found.append(Refusal(f"{replica.name} does not call itself healthy", "see its log; go on once it serves"))
        if replica.has_faults:
            found.append(
                Refusal(
                    f"{replica.name} runs with --enable-faults", "faults on purpose would be taken for the upgrade's"
                )
            )
    if store.problem:
        return [*found, Refusal(f"the store cannot be read ({store.problem})", f"check {store.place}")]
    if store.tables > seen.tables:
        found.append(
            Refusal(
                f"the tables are of version {store.tables}, and covey {seen.version} knows up to {seen.tables}",
                f"step back first, with the newer covey: covey state migrate {store.option} --to {seen.tables}",
            )
        )
    stables = sorted({replica.stable for replica in seen.replicas if replica.stable})
    if len(stables) > 1:
        found.append(
            Refusal(
                f"replicas disagree about the stable variant: {', '.join(stables)}", "see that all have one --store-url"
            )
        )
    whole = [step for step in seen.steps if store.tables < step.version and not step.is_expandable]
    if store.is_shared and store.tables and whole:
        names = ", ".join(f"{step.version} ({step.summary})" for step in whole)
        found.append(
            Refusal(
                f"older servers cannot work beside version {names} of the tables",
                "stop every server, start one with the new code, which brings the tables there, then the others:"
                " this step takes a pause",
            )
        )
    if store.is_shared and len(store.server_tables) > len(seen.replicas):
        found.append(
            Refusal(
                f"{len(store.server_tables)} servers work on the store, and {len(seen.replicas)} were named",
                "name each of them with --replica",
            )
        )
    if seen.rollouts_problem:
        found.append(Refusal(f"rollouts cannot be read ({seen.rollouts_problem})", "check --control and who you are"))
    found += [
        Refusal(f"{rollout.name} is {rollout.state}", "wait for its end: a restart would hold it up")
        for rollout in seen.rollouts
        if rollout.state in _MOVING
    ]
    return found


def _copy(seen: Seen) -> Step:
    if seen.store.is_shared:
        url = seen.store.place.replace("postgresql+psycopg://", "postgresql://")
        return Step(
            "Copy the store",
            f"pg_dump --format=custom --file=covey-before.dump '{url}'",
            "pg_restore --list covey-before.dump",
            "nothing to undo",
        )
    directory = seen.store.option.removeprefix("--data-directory ")
    return Step(
        "Copy the state",
        f"covey state backup before-upgrade --data-directory {directory}",
        "covey audit verify --data-directory before-upgrade",
        "nothing to undo",
    )


def _replace(seen: Seen, replica: ReplicaSeen, restart: str) -> Step:
    command = restart.replace("{replica}", replica.name)
    waiting = [step for step in seen.steps if seen.store.tables < step.version]
    back = f"start it with the code before: {command}"
    if waiting and not seen.store.is_shared:
        back = (
            f"stop it; covey state migrate {seen.store.option} --to {seen.store.tables}; then start it with the code"
            " before"
        )
    return Step(
        f"Replace {replica.name}",
        command,
        f"covey doctor --data {replica.data} --metrics {replica.metrics} --only data --only metrics",
        back,
    )


def _replace_controller(restart: str) -> Step:
    return Step(
        "Replace the controller",
        restart,
        "covey doctor --only controller",
        f"start it with the code before: {restart}",
    )


def _end(seen: Seen, restart: str) -> Step:
    option, tables = seen.store.option, seen.store.tables
    restart = restart.replace("{replica}", "REPLICA")
    return Step(
        "End the upgrade: from here on older code is refused",
        f"covey state migrate {option}",
        "it refuses while an older server is connected; covey upgrade plan says that there is nothing to do",
        f"covey state migrate {option} --to {tables}; then each server with the code before: {restart}; one made by"
        f" the new also needs covey state migrate --data-directory DIR --to {tables}, while it is stopped",
    )


def _notes(seen: Seen, late: list[ReplicaSeen]) -> list[str]:
    notes = []
    if len(seen.replicas) == 1 and late:
        notes.append("one replica: calls wait for its restart, about a second, by their clients' retries")
    waiting = [step for step in seen.steps if seen.store.tables < step.version]
    if waiting and late:
        words = "; ".join(f"{step.version}: {step.summary}" for step in waiting)
        beside = " beside the older servers" if seen.store.is_shared else ""
        notes.append(f"the first new server prepares the tables{beside} ({words})")
    running = [rollout.name for rollout in seen.rollouts]
    if running and late:
        notes.append(f"{', '.join(running)} goes on: looks hold while a replica's metrics page is away")
    return notes
