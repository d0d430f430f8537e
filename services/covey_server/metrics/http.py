"""The metrics port: GET /metrics for those who may read it, and /healthz for everybody."""

from __future__ import annotations

from collections.abc import Callable

from covey.access.certificates import Certificates
from covey.access.pages import Page, PageServer
from covey_server.access.gate import Gate
from covey_server.config import Address
from covey_server.metrics.page import CONTENT_TYPE


def open_metrics_port(
    address: Address,
    page: Callable[[], bytes],
    is_serving: Callable[[], bool],
    gate: Gate,
    certificates: Certificates | None,
) -> PageServer:
    """Serve the page until `stop`.

    Args:
        address: port 0 picks a free one.
        page: makes the page.
        is_serving: whether the server answers calls; `/healthz` says so.
        gate: who may read the page.
        certificates: for TLS; None: plain HTTP.

    Raises:
        OSError: the address cannot be used.
    """

    def health() -> Page:
        return Page(b"SERVING\n") if is_serving() else Page(b"NOT_SERVING\n", status=503)

    return PageServer(
        address.host,
        address.port,
        {"/metrics": lambda: Page(page(), CONTENT_TYPE), "/healthz": health},
        certificates=certificates,
        may_read=gate.page_access(),
    )
