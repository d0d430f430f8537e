"""Around every request: which hosts it may name, how long a body may be, and headers that browsers keep to."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LONGEST_FORM_BYTES = 16 * 1024
_MOST_FIELDS = 32
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class FormError(ValueError):
    """A form that cannot be read."""


class Guard:
    """Refuses requests for other hosts, which is what DNS rebinding looks like, and sets the headers of answers.

    Args:
        application: behind it.
        hosts: names by which browsers may call the dashboard, without ports.
        speaks_tls: whether it does.
    """

    def __init__(self, application: ASGIApp, hosts: Iterable[str], speaks_tls: bool) -> None:
        self._application = application
        self._hosts = frozenset(host.lower() for host in hosts)
        self._headers = dict(_HEADERS)
        if speaks_tls:
            self._headers["strict-transport-security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    own.setdefault(name, value)
                own.setdefault("cache-control", "no-store")
            await send(message)

        host = headers.get("host", "")
        if _host_name(host) not in self._hosts:
            answer = PlainTextResponse(
                f"this dashboard is not called {host[:100]!r}; start it with --host NAME to let it be\n",
                status_code=421,
            )
            await answer(scope, receive, send_guarded)
            return
        if scope["method"] == "POST" and not _is_own(headers, host):
            answer = PlainTextResponse("forms of other sites are not taken here\n", status_code=403)
            await answer(scope, receive, send_guarded)
            return
        await self._application(scope, receive, send_guarded)


def _host_name(host: str) -> str:
    """The name in a Host header, without port and brackets."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _is_own(headers: Headers, host: str) -> bool:
    """Whether a form comes from this site, as far as the browser says."""
    origin = headers.get("origin")
    if origin is not None:
        return urlsplit(origin).netloc.lower() == host.lower()
    return headers.get("sec-fetch-site", "same-origin") in {"same-origin", "none"}


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form; of a name that comes twice, the last.

    Raises:
        FormError: it is too long or no form.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if kind != "application/x-www-form-urlencoded":
        raise FormError("this is no form; use the one on the page")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_FORM_BYTES:
            raise FormError(f"the form is longer than {LONGEST_FORM_BYTES} bytes; say it in fewer words")
    try:
        return dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except ValueError as error:
        raise FormError(f"the form cannot be read ({error}); load the page again") from error
