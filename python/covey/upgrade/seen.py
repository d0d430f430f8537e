"""What is seen of a running installation before it is upgraded."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ReplicaSeen:
    """A server that was asked.

    Attributes:
        data: address of its data port.
        metrics: URL of its metrics page.
        name: what it calls itself; empty where it does not answer.
        version: of its covey.
        tables: the newest version of the tables that it knows; 0: it does not say.
        stable: the variant that serves most learners.
        is_serving: whether it calls itself healthy.
        has_faults: whether faults on purpose may be loaded.
        problem: why it does not answer; empty where it does.
    """

    data: str
    metrics: str
    name: str = ""
    version: str = ""
    tables: int = 0
    stable: str = ""
    is_serving: bool = False
    has_faults: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class StoreSeen:
    """The store of the installation.

    Attributes:
        option: how it is named to commands, such as "--store-url postgresql://covey@db/covey".
        place: for people, without a password.
        is_shared: whether several servers work on it.
        tables: version of the tables; 0 where there are none.
        server_tables: of each process that is connected, the newest version that it knows; None: it does not say.
        problem: why it cannot be read; empty where it can.
    """

    option: str
    place: str
    is_shared: bool
    tables: int = 0
    server_tables: tuple[int | None, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class StepSeen:
    """A step of the tables that the new code brings.

    Attributes:
        version: of the tables afterwards.
        summary: what is new.
        is_expandable: whether older servers can work beside it until it is ended.
    """

    version: int
    summary: str
    is_expandable: bool


@dataclass(frozen=True, slots=True)
class RolloutSeen:
    """A rollout that goes on.

    Attributes:
        name: rollouts/{rollout}.
        state: such as "RUNNING".
    """

    name: str
    state: str


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything.

    Attributes:
        version: of the covey that is to run, which is the one that asks.
        tables: the version of the tables that it brings.
        steps: of the tables, all that it knows, oldest first.
        store: of the installation.
        replicas: its servers, in the order in which they are replaced.
        rollouts: those that go on.
        rollouts_problem: why they could not be read; empty where they could.
    """

    version: str
    tables: int
    steps: tuple[StepSeen, ...]
    store: StoreSeen
    replicas: tuple[ReplicaSeen, ...]
    rollouts: tuple[RolloutSeen, ...] = field(default=())
    rollouts_problem: str = ""
