"""Where to look, and who one is there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from covey.access.certificates import CertificateFiles
from covey.client.channel import DEFAULT_CONTROL, DEFAULT_DATA, Security
from covey.configuration.settings import Settings

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - what others listen on


@dataclass(frozen=True)
class Places:
    """What is looked at.

    Attributes:
        data: address of the data port.
        control: address of the control port.
        metrics: URL of the server's page; its `/healthz` is beside it.
        controller_metrics: URL of a controller's page.
        security: towards all of them.
        data_directory: of a server on this machine; None: its disk is not looked at.
        ballast_bytes: that its server sets aside; None: not known.
        tls: certificates that its server shows; None: not known.
    """

    data: str = DEFAULT_DATA
    control: str = DEFAULT_CONTROL
    metrics: str = "http://127.0.0.1:9464/metrics"
    controller_metrics: str = "http://127.0.0.1:9465/metrics"
    security: Security = field(default_factory=Security)
    data_directory: Path | None = None
    ballast_bytes: int | None = None
    tls: CertificateFiles | None = None


def configured(places: Places, server: Settings | None, controller: Settings | None) -> Places:
    """Where the processes of a configuration are, seen from this machine.

    Args:
        places: what is known beside it.
        server: settings of a server.
        controller: settings of a controller; its authorities and its token are used.
    """
    if controller is not None:
        scheme = "https" if controller["tls_cert"] else "http"
        places = replace(
            places,
            control=controller["control"],
            controller_metrics=f"{scheme}://{_near(controller['metrics_listen'])}/metrics",
            security=Security(
                cacert=controller["cacert"],
                cert=controller["cert"],
                key=controller["key"],
                servername=controller["servername"],
                plaintext=True if controller["plaintext"] else None,
                token=None if controller["token_file"] else controller["token"],
                token_file=controller["token_file"],
            ),
        )
    if server is not None:
        certificate, key = server["tls_cert"], server["tls_key"]
        places = replace(
            places,
            data=_near(str(server["listen"])),
            control=_near(str(server["control_listen"])),
            metrics=f"{'https' if certificate else 'http'}://{_near(str(server['metrics_listen']))}/metrics",
            data_directory=server["data_directory"],
            ballast_bytes=server["ballast_kilobytes"] << 10,
            tls=None if certificate is None or key is None else CertificateFiles(certificate, key),
        )
    return places


def _near(address: str) -> str:
    """Where something that listens everywhere is found from here."""
    host, _, port = address.rpartition(":")
    return f"{_EVERYWHERE.get(host.strip('[]'), host)}:{port}"
