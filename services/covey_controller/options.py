"""What a controller can be told: the one list from which its flags, variables, file keys and page are made."""

from __future__ import annotations

from pathlib import Path

from covey.access.client_options import client_options
from covey.configuration.options import Group, Option, Section, host_only

SECRET_VARIABLE = "COVEY_WEBHOOK_SECRET"  # noqa: S105 - the name of the variable
DEFAULT_REPLICA = "data=127.0.0.1:50051,metrics=http://127.0.0.1:9464/metrics"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number of seconds") from None


_PLACES = Group(
    "Where",
    (
        Option("control", "control port of the server", "127.0.0.1:50052", "HOST:PORT"),
        Option(
            "replica",
            "one server process; repeated for each",
            DEFAULT_REPLICA,
            "data=HOST:PORT,metrics=URL",
            is_repeated=True,
        ),
        Option("target", "drives the rollouts of this target", "analyzer", "NAME"),
        Option("metrics-listen", "own metrics page", "127.0.0.1:9465", "HOST:PORT"),
        Option("xds-listen", "tells clients of xDS their split there (plaintext; loopback only)", "", "HOST:PORT"),
        Option("ports-file", "written once ready: JSON with metrics port and pid", "", "FILE"),
        Option("holder", "name of the lease holder; by default unique per process", "", "NAME"),
    ),
)
_TIMES = Group(
    "How often",
    (
        Option("poll-seconds", "how often new rollouts are looked for", "1", "SECONDS", _number),
        Option("probe-deadline-seconds", "a probe unanswered by then failed", "2", "SECONDS", _number),
    ),
)
_TOLD = Group(
    "Who is told",
    (
        Option("webhook", "every transition is posted there as JSON", "", "URL", shown=host_only),
        Option(
            "webhook-secret-file",
            f"signs the posts with HMAC-SHA256 (or the environment's {SECRET_VARIABLE})",
            "",
            "FILE",
        ),
        Option("webhook-secret", "the same secret itself", variable=SECRET_VARIABLE, is_secret=True),
        Option("alertmanager", "every transition is an alert there (v2 API)", "", "URL", shown=host_only),
        Option("apprise-file", "apprise URLs, one a line; needs covey[notify]", "", "FILE"),
    ),
)
_SERVERS = client_options(of_whom="this controller", role="controller")
_PAGE = Group(
    "The controller's own page",
    (
        Option("tokens", "who may read it", "", "FILE", Path),
        Option("tls-cert", "its certificate, with --tls-key", "", "FILE", Path),
        Option("tls-key", "its private key", "", "FILE", Path),
        Option("insecure-listen", "allow that page beyond this machine without both", is_switch=True),
    ),
)

SECTION = Section(
    "controller",
    "covey-controller",
    "Drives rollouts on the evidence of the service's own metrics.",
    (_PLACES, _TIMES, _TOLD, _SERVERS, _PAGE),
)
