"""Which actions a playbook asks for now: a pure function of scores and of what was done before."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from numbers import Real
from typing import Any

import numpy as np

from covey.churn.definition import DAY_US
from covey.errors import InputError
from covey.identifiers import bucket
from covey.interventions.playbook import Playbook

HELD_OUT, TREATED = "held_out", "treated"
_BUCKETS = 2**32
_REMEDY = "take what `covey churn score --save` wrote"


@dataclass(frozen=True, slots=True)
class Candidates:
    """Scores at one instant.

    Attributes:
        as_of_us: the instant.
        learner_ids: as text, distinct.
        probabilities: of leaving, one per learner.
        reasons: codes, one list per learner.
        variants: of the model that answered, one per learner.

    Raises:
        InputError: an id, a list of reasons or a variant is missing, a probability is no number from 0 to 1, or a
            learner is there twice.
    """

    as_of_us: int
    learner_ids: Sequence[str]
    probabilities: Sequence[float]
    reasons: Sequence[Sequence[str]]
    variants: Sequence[str]

    def __post_init__(self) -> None:
        # A probability that is no number is below no limit: its learner would be chosen.
        _check_column(
            "probability", self.probabilities, lambda own: isinstance(own, Real) and 0.0 <= float(own) <= 1.0,
            "a number from 0 to 1", _are_shares,
        )  # fmt: skip
        _check_column(
            "learner_id", self.learner_ids, lambda own: isinstance(own, str) and own != "", "an id",
            lambda own: _are_all(own, str) and all(own),
        )  # fmt: skip
        _check_column(
            "reasons", self.reasons,
            lambda own: isinstance(own, (list, tuple)) and all(isinstance(code, str) for code in own),
            "a list of codes", lambda own: _are_all(own, list) and _are_all(chain.from_iterable(own), str),
        )  # fmt: skip
        _check_column(
            "variant", self.variants, lambda own: isinstance(own, str), "the name of a model's variant",
            lambda own: _are_all(own, str),
        )  # fmt: skip
        if len(set(self.learner_ids)) < len(self.learner_ids):
            raise InputError("a learner is scored twice", column="learner_id", remedy=_REMEDY)

    @classmethod
    def of_table(cls, table: Any, source: str | None = None) -> Candidates:
        """From the table of `covey.churn.Scores`.

        Args:
            table: of Arrow.
            source: where it is from, for errors.

        Raises:
            InputError: a column is missing or of another type, there are several instants, or as the class.
        """
        for name in ("learner_id", "as_of", "probability", "reasons", "variant"):
            if name not in table.column_names:
                raise InputError(f"no column '{name}'", source=source, remedy=_REMEDY)
        import pyarrow as pa
        import pyarrow.compute as pc

        try:
            instants = pc.unique(pc.cast(pc.cast(table["as_of"], pa.timestamp("us")), pa.int64())).to_pylist()
        except pa.ArrowException:
            raise InputError(
                f"values of type {table['as_of'].type}",
                source=source, column="as_of", expected="timestamps", remedy=_REMEDY,
            ) from None  # fmt: skip
        if len(instants) != 1 or instants[0] is None:
            problem = "an instant is missing" if None in instants else f"{len(instants)} instants in the scores"
            raise InputError(problem, source=source, column="as_of", expected="one", remedy=_REMEDY)
        ids = pc.cast(table["learner_id"], pa.string()).to_pylist()
        probabilities, variants = (table[name].to_pylist() for name in ("probability", "variant"))
        try:
            return cls(int(instants[0]), ids, probabilities, _lists_of(table["reasons"]), variants)
        except InputError as error:
            raise InputError(
                error.problem,
                source=source, column=error.column, row=error.row, expected=error.expected, remedy=error.remedy,
            ) from None  # fmt: skip


def _lists_of(column: Any) -> list[Any]:
    """As `to_pylist`, but that equal lists are one object: a million of them cost the garbage collector seconds."""
    import pyarrow as pa

    if not pa.types.is_list(column.type) or column.null_count:
        return column.to_pylist()  # type: ignore[no-any-return]
    known: dict[tuple[Any, ...], list[Any]] = {}
    found: list[Any] = []
    for chunk in column.chunks:
        values, offsets = tuple(chunk.values.to_pylist()), chunk.offsets.to_pylist()
        for begin, end in pairwise(offsets):
            own = values[begin:end]
            if own not in known:
                known[own] = list(own)
            found.append(known[own])
    return found


def _check_column(
    name: str, values: Sequence[Any], is_good: Callable[[Any], bool], expected: str,
    are_plainly_good: Callable[[Sequence[Any]], bool],
) -> None:  # fmt: skip
    if are_plainly_good(values):  # a tenth of the time for those that are as they nearly always are
        return
    row = next((row for row, value in enumerate(values) if not is_good(value)), None)
    if row is not None:
        problem = "nothing there" if values[row] is None else repr(values[row])
        raise InputError(problem, column=name, row=row, expected=expected, remedy=_REMEDY)


def _are_all(values: Iterable[Any], kind: type) -> bool:
    return set(map(type, values)) <= {kind}


def _are_shares(values: Sequence[Any]) -> bool:
    if not _are_all(values, float):
        return False
    found = np.asarray(values, dtype=np.float64)
    return bool(((found >= 0.0) & (found <= 1.0)).all())


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A learner who met the playbook's condition for the first time, helped or not.

    Attributes:
        learner_id: as text.
        arm: held_out or treated, drawn by a hash of the playbook's name and the learner.
        as_of_us: when: the outcome counts from here, in both arms alike.
        probability: of leaving, then.
    """

    learner_id: str
    arm: str
    as_of_us: int
    probability: float


@dataclass(frozen=True, slots=True)
class Action:
    """What is to be done for a learner.

    Attributes:
        key: the same however often it is planned or told.
        learner_id: as text.
        as_of_us: of the scores.
        body: JSON for the receiver.
    """

    key: str
    learner_id: str
    as_of_us: int
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Past:
    """What was done under a playbook.

    Attributes:
        arms: of the learners enrolled so far.
        action_times_us: instants of each learner's actions.
        other_times_us: instants of each learner's actions under other playbooks.
    """

    arms: Mapping[str, str] = field(default_factory=dict)
    action_times_us: Mapping[str, Sequence[int]] = field(default_factory=dict)
    other_times_us: Mapping[str, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write down and to do.

    Attributes:
        enrolments: learners who are new to the playbook.
        actions: to be done.
        chosen_count: learners who met the condition.
        held_out_count: of them, held out.
        limited_count: had as many actions as they may.
        cooling_count: had one too short a time ago; also one of this very instant.
        quiet_count: had one of another playbook too short a time ago.
    """

    enrolments: tuple[Enrolment, ...]
    actions: tuple[Action, ...]
    chosen_count: int
    held_out_count: int
    limited_count: int
    cooling_count: int
    quiet_count: int


def arm_of(playbook: Playbook, learner_id: str) -> str:
    """Held out or treated: murmur3 of "name:learner", so that everybody who asks gets the same answer."""
    return HELD_OUT if bucket(playbook.name, learner_id) < int(playbook.holdout_share * _BUCKETS) else TREATED


def plan_actions(playbook: Playbook, candidates: Candidates, past: Past, quiet_days: int = 0) -> Plan:
    """What the playbook asks for, after what was done.

    Planning the same scores again asks for nothing: each learner's action of that instant is there already. Whoever had
    an action of another playbook within `quiet_days` gets none of this one now; they stay in the arm that was drawn.
    """
    enrolments, actions = [], []
    chosen = held_out = limited = cooling = quiet = 0
    cool_down_us = playbook.cool_down_days * DAY_US
    wanted = set(playbook.reasons)
    likely = np.asarray(candidates.probabilities, dtype=np.float64) >= playbook.min_probability
    for row in np.flatnonzero(likely).tolist():
        learner, probability = candidates.learner_ids[row], candidates.probabilities[row]
        reasons, variant = candidates.reasons[row], candidates.variants[row]
        if wanted and wanted.isdisjoint(reasons):
            continue
        chosen += 1
        arm = past.arms.get(learner)
        if arm is None:
            arm = arm_of(playbook, learner)
            enrolments.append(Enrolment(learner, arm, candidates.as_of_us, float(probability)))
        if arm == HELD_OUT:
            held_out += 1
            continue
        times = past.action_times_us.get(learner, ())
        if any(abs(candidates.as_of_us - time) < cool_down_us for time in times):
            cooling += 1
            continue
        if len(times) >= playbook.limit_per_learner:
            limited += 1
            continue
        if any(abs(candidates.as_of_us - time) < quiet_days * DAY_US for time in past.other_times_us.get(learner, ())):
            quiet += 1
            continue
        actions.append(_action(playbook, learner, candidates.as_of_us, float(probability), list(reasons), variant))
    return Plan(tuple(enrolments), tuple(actions), chosen, held_out, limited, cooling, quiet)


def _action(
    playbook: Playbook, learner: str, as_of_us: int, probability: float, reasons: list[str], variant: str
) -> Action:
    key = hashlib.sha256(f"{playbook.name}:{as_of_us}:{learner}".encode()).hexdigest()[:32]
    body = {
        "dedupe_key": key,
        "playbook": playbook.name,
        "action": playbook.action,
        "parameters": dict(playbook.parameters),
        "learner_id": learner,
        "as_of_us": as_of_us,
        "probability": probability,
        "reasons": reasons,
        "variant": variant,
    }
    if playbook.valid_days is not None:
        body["valid_until_us"] = as_of_us + playbook.valid_days * DAY_US
    return Action(key, learner, as_of_us, body)
