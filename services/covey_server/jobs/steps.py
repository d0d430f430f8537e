"""How a discovery says where it is."""

from __future__ import annotations

from collections.abc import Callable

Report = Callable[[str, float], None]
"""Called as report(step, progress from 0 to 1)."""


def clustering_step(what: str, done: int, total: int) -> tuple[str, float]:
    """Where a discovery is while it clusters, from what k-means says of itself."""
    is_choice = "silhouette" in what
    low, width = (0.5, 0.3) if is_choice else (0.8, 0.15)
    return "silhouette" if is_choice else "k-means", low + width * done / max(total, 1)
