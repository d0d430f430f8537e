"""Pages over HTTP and certificates over TLS, as any client would meet them."""

from __future__ import annotations

import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from covey.client.channel import Security
from covey.doctor import judgements
from covey.doctor.findings import Finding, fail


class PageError(Exception):
    """A page that cannot be had; the message says why, `remedy` what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Answer:
    """A page.

    Attributes:
        text: of it.
        date: its server's clock, Unix seconds; None where it does not say.
    """

    text: str
    date: float | None


def fetch(url: str, security: Security, seconds: float) -> Answer:
    """A page, with the caller's token.

    Raises:
        PageError: it cannot be had.
    """
    request = urllib.request.Request(url)  # noqa: S310 - the scheme is the operator's
    encrypted = url.startswith("https:")
    try:
        for name, value in security.call_metadata():
            request.add_header(name, value)
        context = security.ssl_context() if encrypted else None
        handlers = [urllib.request.ProxyHandler({})]
        opener = urllib.request.build_opener(*handlers, urllib.request.HTTPSHandler(context=context))
        with opener.open(request, timeout=seconds) as answer:
            text = answer.read().decode("utf-8", "replace")
            said = answer.headers.get("Date")
    except urllib.error.HTTPError as error:
        with error:
            raise _refused(url, error) from error
    except ValueError as error:
        raise PageError(str(error), "correct the option that it names") from error
    except (OSError, HTTPException) as error:
        raise _unreachable(url, error) from error
    return Answer(text, parsedate_to_datetime(said).timestamp() if said else None)


def _refused(url: str, error: urllib.error.HTTPError) -> PageError:
    remedies = {
        401: "give a token: --token-file, or COVEY_TOKEN",
        403: "the token needs a role that reads: viewer",
        404: "name the page: .../metrics",
        503: "it starts, drains, or is busy: look again in a moment",
    }
    return PageError(f"{url}: HTTP {error.code}", remedies.get(error.code, "look at what listens there"))


def _unreachable(url: str, error: Exception) -> PageError:
    reason = getattr(error, "reason", error)
    if isinstance(reason, HTTPException):
        return PageError(
            f"{url}: what listens there speaks no HTTP", "name the metrics port; 9464 unless told otherwise"
        )
    if isinstance(reason, ssl.SSLCertVerificationError):
        return PageError(f"{url}: {reason.verify_message}", "check --cacert against the server's certificate")
    if isinstance(reason, ssl.SSLError):
        return PageError(
            f"{url}: {reason.reason or reason}", "one side speaks TLS and the other does not: http or https?"
        )
    said = getattr(reason, "strerror", None) or str(reason)
    return PageError(f"{url}: {said}", "start it, or name the right address")


def examine_certificate(address: str, security: Security, seconds: float, now: Callable[[], float]) -> Finding:
    """The certificate that is shown at an address: is it trusted, for this name, until when."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        context = security.ssl_context()
        context.set_alpn_protocols(["h2", "http/1.1"])
        with (
            socket.create_connection((host, int(port)), seconds) as plain,
            context.wrap_socket(plain, server_hostname=security.servername or host) as encrypted,
        ):
            shown: Any = encrypted.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        remedy = "check --cacert and --servername against it, or replace it"
        return fail("certificate", f"{address}: {error.verify_message}", remedy)
    except ssl.SSLError as error:
        return fail(
            "certificate", f"{address}: {error.reason or error}", "it may speak no TLS: --plaintext, on loopback"
        )
    except ValueError as error:
        return fail("certificate", str(error), "correct the option that it names")
    except OSError as error:
        return fail("certificate", f"{address}: {error.strerror or error}", "start it, or name the right address")
    names = [value for kind, value in shown.get("subjectAltName", ()) if kind in {"DNS", "IP Address"}]
    return judgements.certificate(address, ssl.cert_time_to_seconds(shown["notAfter"]) - now(), names)


def serves(metrics_url: str, security: Security, seconds: float) -> Answer:
    """The page that says whether a server answers calls. It holds no secret, so any certificate will do.

    Raises:
        PageError: it does not.
    """
    parts = urlsplit(metrics_url)
    context = ssl.create_default_context(cafile=security.cacert)
    if security.cacert is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    url = f"{parts.scheme}://{parts.netloc}/healthz"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(url, timeout=seconds) as answer:
            return Answer(answer.read().decode("utf-8", "replace").strip(), None)
    except urllib.error.HTTPError as error:
        with error:
            raise _refused(url, error) from error
    except (OSError, HTTPException) as error:
        raise _unreachable(url, error) from error
