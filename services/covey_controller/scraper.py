"""Looks at the metrics pages of all replicas at once; a hanging one delays nobody beyond the deadline."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError

from covey_controller.config import Replica, ScrapeLimits
from covey_controller.page import Page
from covey_controller.scrape import AbsenceError, fetch, scrape_failed


class Scraper:
    """One thread per replica; what still hangs from the look before is not asked again.

    Args:
        replicas: whose pages are read.
        limits: of each page.
        wanted: names of the series that are read; default: those of covey's own pages.
    """

    def __init__(self, replicas: Iterable[Replica], limits: ScrapeLimits, wanted: frozenset[str] | None = None) -> None:
        self._replicas = tuple(replicas)
        self._names = {} if wanted is None else {"wanted": wanted, "bulk": frozenset[str]()}
        self._limits = limits
        self._pool = ThreadPoolExecutor(max_workers=max(1, len(self._replicas)), thread_name_prefix="covey-scrape")
        self._under_way: dict[str, Future[Page]] = {}

    def look(self, oldest_timestamp: float) -> list[tuple[str, Page | AbsenceError]]:
        """The page of every replica, or why there is none.

        Args:
            oldest_timestamp: Unix seconds; samples that carry an earlier time are stale.
        """
        answers: list[tuple[str, Page | AbsenceError]] = []
        started: dict[str, Future[Page]] = {}
        for replica in self._replicas:
            before = self._under_way.get(replica.name)
            if before is None or before.done():
                future = self._pool.submit(self._page, replica, oldest_timestamp)
                started[replica.name] = self._under_way[replica.name] = future
        for replica in self._replicas:
            running = started.get(replica.name)
            answers.append((replica.name, self._wait(running)))
        return answers

    def _wait(self, future: Future[Page] | None) -> Page | AbsenceError:
        if future is None:
            return scrape_failed("the look before still hangs")
        try:
            return future.result(timeout=self._limits.total_seconds + 1.0)
        except AbsenceError as absence:
            return absence
        except FutureTimeoutError:
            return scrape_failed("no page in time")
        except Exception as error:  # whatever a page does, the loop lives: an unknown failure is an absence too
            return scrape_failed(f"{type(error).__name__}: {error}")

    def _page(self, replica: Replica, oldest_timestamp: float) -> Page:
        text = fetch(replica.metrics_url, self._limits, security=replica.security)
        return Page(text, lines=self._limits.lines, oldest_timestamp=oldest_timestamp, **self._names)

    def close(self) -> None:
        """Ends the threads; one that hangs ends with its deadline."""
        self._pool.shutdown(wait=False, cancel_futures=True)
