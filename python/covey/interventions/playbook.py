"""A playbook: who is helped, by what, how often at most, and how many are held out so that it is known to help."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from covey.churn.features import GROUPS
from covey.errors import InputError, suggestion

if TYPE_CHECKING:
    import yaml

DEFAULT_HOLDOUT_SHARE = 0.2
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_KEYS = {
    "playbook": "name",
    "who": "",
    "what": "",
    "limit_per_learner": "limit_per_learner",
    "cool_down_days": "cool_down_days",
    "holdout_share": "holdout_share",
    "outcome_days": "outcome_days",
    "valid_days": "valid_days",
}
_WHO = {"min_probability": "min_probability", "reasons": "reasons"}
_WHAT = {"action": "action", "parameters": "parameters"}


@dataclass(frozen=True, slots=True)
class Playbook:
    """What is done.

    Attributes:
        name: also the salt of the draw: who is held out under one name stays held out.
        min_probability: of leaving, from which a learner is helped.
        action: what the receiver of the webhook is to do.
        parameters: of the action, as they are passed on.
        reasons: codes, one of which must be among the learner's; empty: any.
        limit_per_learner: actions at most.
        cool_down_days: between two actions for one learner.
        holdout_share: of the learners who are never helped, 0 to 0.9; 0: nothing can be said of the effect.
        outcome_days: a learner has come back with an event within so many days of being chosen first.
        valid_days: an action that is not told within so many days of its scores is told no more; None: at any time.

    Raises:
        InputError: for a value out of range.
    """

    name: str
    min_probability: float
    action: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    limit_per_learner: int = 3
    cool_down_days: int = 14
    holdout_share: float = DEFAULT_HOLDOUT_SHARE
    outcome_days: int = 28
    valid_days: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            raise InputError(f"playbook '{self.name}'", expected="letters, digits, . _ and -, at most 100")
        _in_range("min_probability", self.min_probability, 0.0, 1.0)
        _in_range("holdout_share", self.holdout_share, 0.0, 0.9)
        for name in ("limit_per_learner", "cool_down_days", "outcome_days", "valid_days"):
            value = getattr(self, name)
            if name == "valid_days" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 3_650:
                raise InputError(f"{name} is {value!r}", expected="a whole number, 1 to 3650")
        if not isinstance(self.action, str) or not self.action:
            raise InputError("the playbook says nothing that is to be done", expected="what: {action: ...}")
        if not isinstance(self.parameters, Mapping):
            raise InputError("parameters of the action", expected="a mapping")
        try:
            what = [self.action, dict(self.parameters)]
            json.dumps(what, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise InputError(
                f"what is to be done is no JSON ({error})",
                expected="texts, finite numbers, lists and mappings with texts as keys",
            ) from None
        for code in self.reasons:
            if not isinstance(code, str) or code not in GROUPS:
                raise InputError(f"reason '{code}'", expected=", ".join(GROUPS))

    @property
    def digest(self) -> str:
        """Of everything in it: what was done under a name must stay one thing, or its effect is of nothing."""
        plain = asdict(self)
        if self.valid_days is None:
            del plain["valid_days"]  # outboxes from before it was there know these playbooks
        text = json.dumps(plain, sort_keys=True, ensure_ascii=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


def read_playbook(path: Path) -> Playbook:
    """A playbook from its YAML file.

    Raises:
        InputError: it is no YAML, keys are unknown or missing, or a value is out of range; names the file.
        OSError: it cannot be read.
    """
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        _refuse_key_given_twice(yaml.compose(text, Loader=yaml.SafeLoader), str(path))
        plain = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"no YAML: {' '.join(str(error).split())}", source=str(path)) from None
    except RecursionError:
        raise InputError("it is nested too deeply for a playbook", source=str(path)) from None
    try:
        return _of_plain(plain)
    except InputError as error:
        raise InputError(error.problem, source=str(path), expected=error.expected, remedy=error.remedy) from None


def _refuse_key_given_twice(node: yaml.Node | None, source: str) -> None:
    """YAML's reader keeps the last one, and says nothing of the others."""
    import yaml

    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode) and key.value in seen:
            line = key.start_mark.line + 1
            raise InputError(f"the key '{key.value}' is written twice, again in line {line}", source=source)
        seen.add(str(key.value))
        _refuse_key_given_twice(value, source)


def _of_plain(plain: Any) -> Playbook:
    given = _renamed(plain, _KEYS, "the playbook")
    who = _renamed(given.pop("who", {}), _WHO, "who")
    what = _renamed(given.pop("what", {}), _WHAT, "what")
    for name, where in (("name", given), ("min_probability", who), ("action", what)):
        if name not in where:
            key = "playbook" if name == "name" else name
            raise InputError(f"no '{key}'", expected="at least playbook, who: {min_probability}, what: {action}")
    reasons = who.pop("reasons", ())
    if not isinstance(reasons, (list, tuple)):
        raise InputError("reasons", expected="a list of codes")
    return Playbook(**given, **who, **what, reasons=tuple(reasons))


def _renamed(plain: Any, names: Mapping[str, str], what: str) -> dict[str, Any]:
    if not isinstance(plain, dict):
        raise InputError(f"{what} is no mapping", expected=", ".join(names))
    for key in plain:
        if key not in names:
            raise InputError(f"unknown key '{key}' in {what}", remedy=suggestion(str(key), names))
    return {names[key] or key: value for key, value in plain.items()}


def _in_range(name: str, value: Any, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise InputError(f"{name} is {value!r}", expected=f"a number from {low:g} to {high:g}")
