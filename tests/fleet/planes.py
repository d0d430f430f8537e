"""A real control port in this process, whose clock is moved by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def control_plane(directory: Path, clock: Any, credentials: Any = None) -> Iterator[tuple[Any, Any]]:
    """A port over a journal of its own; both.

    Args:
        directory: of its store.
        clock: `worlds.Clock`.
        credentials: of TLS; None: plaintext.
    """
    from covey_server.access.gate import open_gate
    from covey_server.catalogue.catalogue import Catalogue
    from covey_server.ports.control_port import start_control_port
    from covey_server.rollouts.journal import Journal
    from covey_server.rollouts.leases import Leases
    from covey_server.split import SplitBoard
    from covey_server.store import open_store

    store = open_store(directory)
    catalogue = Catalogue(store, clock)
    catalogue.ensure_defaults()
    journal = Journal(store, SplitBoard(), catalogue, clock, Leases(store, clock, clock.seconds), clock.seconds)
    journal.load()
    port = start_control_port("127.0.0.1:0", journal, open_gate(), credentials)
    try:
        yield port, journal
    finally:
        port.stop(None)
        store.close()
