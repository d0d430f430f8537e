"""Times to an event as arms: the share free of it at a horizon, from `covey.stats.survival`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from covey.errors import InputError
from covey.experiment.effects import Arm
from covey.stats.survival import kaplan_meier


def survival_arm(duration: NDArray[np.float64], event: NDArray[np.float64], horizon: float) -> Arm:
    """Share free of the event at a horizon, with Greenwood's variance in the form of `Arm`.

    Args:
        duration: shape (n,), at least 0.
        event: shape (n,), 1 where the event came, 0 where the unit was censored.
        horizon: above 0, in the unit of the durations.

    Raises:
        InputError: nobody was followed up to the horizon.
    """
    curve = kaplan_meier(duration, event)
    step = int(np.searchsorted(curve.durations, horizon, side="right"))
    value, error = (float(curve.survival[step - 1]), float(curve.standard_error[step - 1])) if step else (1.0, 0.0)
    if curve.longest < horizon and value > 0:
        raise InputError(
            f"nobody was followed for {horizon:g}: the longest time is {curve.longest:g}",
            remedy="choose a horizon within the data",
        )
    n = curve.unit_count
    return Arm(np.array(value), np.array(error**2 * n), np.array(float(n)))
