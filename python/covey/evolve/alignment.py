"""One numbering of cohorts for all snapshots, so that a label means the same behaviour at each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, slots=True)
class Alignment:
    """Which lane every cohort of every snapshot runs in.

    Attributes:
        lanes: one array per snapshot: lane of each of its cohorts, all different.
        lane_count: lanes in all.
        distances: one array per snapshot: how far each cohort's centroid is from the one that its lane held before, in
            weighted trait space; NaN where the lane is new.
        problems: what did not match, in words: lanes that begin or end because k differs.
    """

    lanes: tuple[NDArray[np.int64], ...]
    lane_count: int
    distances: tuple[NDArray[np.float64], ...]
    problems: tuple[str, ...]


def align(centroids: Sequence[NDArray[np.floating]], names: Sequence[str]) -> Alignment:
    """Match the cohorts of neighbouring snapshots by their centroids.

    The assignment with the smallest sum of squared distances (Hungarian method). Centroids, not members, are matched:
    a lane stands for a way of behaving, and who moves to another is news. A cohort that finds no partner because its
    snapshot has more of them begins a lane; a lane without a partner rests, and a later cohort may take it up.

    Args:
        centroids: one array of shape (k, d) per snapshot, k may differ.
        names: of the snapshots, for the problems.

    Source: Kuhn (1955); `scipy.optimize.linear_sum_assignment`.
    """
    from scipy.optimize import linear_sum_assignment

    held: list[NDArray[np.float64]] = []
    lanes, distances, problems = [], [], []
    for number, points in enumerate(np.asarray(own, dtype=np.float64) for own in centroids):
        own_lanes = np.full(len(points), -1, dtype=np.int64)
        own_distances = np.full(len(points), np.nan)
        if held:
            costs = ((points[:, None, :] - np.stack(held)[None, :, :]) ** 2).sum(axis=2)
            for cohort, lane in zip(*linear_sum_assignment(costs), strict=True):
                own_lanes[cohort], own_distances[cohort] = lane, float(np.sqrt(costs[cohort, lane]))
        for cohort in np.flatnonzero(own_lanes < 0):
            own_lanes[cohort] = len(held)
            held.append(points[cohort])
        for cohort, lane in enumerate(own_lanes):
            held[lane] = points[cohort]
        if number and len(points) != len(centroids[number - 1]):
            known = len(centroids[number - 1])
            problems.append(
                f"{names[number - 1]} has {known} cohorts and {names[number]} has {len(points)}: a cohort "
                f"{'begins' if len(points) > known else 'ends'} there, and moves into and out of it are changes of the "
                "model, not of the learners"
            )
        lanes.append(own_lanes)
        distances.append(own_distances)
    return Alignment(tuple(lanes), len(held), tuple(distances), tuple(problems))
