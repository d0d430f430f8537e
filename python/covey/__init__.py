"""Behavioural cohorts from learner events.

    >>> import covey
    >>> events = covey.read_parquet("events.parquet")        # doctest: +SKIP
    >>> cohorts = events.traits().discover(k="auto", seed=0)  # doctest: +SKIP
    >>> cohorts.to_arrow()                                    # doctest: +SKIP

Importing this package costs nothing: a name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from covey.cohort_model import CohortModel
    from covey.cohorts import Cohorts
    from covey.errors import InputError
    from covey.events import Events, read_csv, read_parquet
    from covey.parameters import TraitParameters
    from covey.trait_state import TraitState
    from covey.traits import Traits

__version__ = "0.1.0"

__all__ = [
    "CohortModel",
    "Cohorts",
    "Events",
    "InputError",
    "TraitParameters",
    "TraitState",
    "Traits",
    "__version__",
    "read_csv",
    "read_parquet",
]

_HOME_OF_NAME = {
    "CohortModel": "covey.cohort_model",
    "Cohorts": "covey.cohorts",
    "Events": "covey.events",
    "InputError": "covey.errors",
    "TraitParameters": "covey.parameters",
    "TraitState": "covey.trait_state",
    "Traits": "covey.traits",
    "read_csv": "covey.events",
    "read_parquet": "covey.events",
}


def __getattr__(name: str) -> Any:
    home = _HOME_OF_NAME.get(name)
    if home is None:
        raise AttributeError(f"module 'covey' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
