"""What a dashboard can be told: the one list from which its flags, variables, file keys and page are made."""

from __future__ import annotations

from pathlib import Path

from covey.access.client_options import client_options
from covey.client.channel import DEFAULT_CONTROL, DEFAULT_DATA
from covey.configuration.options import Group, Option, Section

_PLACES = Group(
    "Where",
    (
        Option("listen", "where browsers find it; port 0 picks a free one", "127.0.0.1:8080", "HOST:PORT"),
        Option("host", "another name by which browsers may call it; repeated for each", "", "NAME", is_repeated=True),
        # The commands of operators read the same two variables.
        Option("control", "control port of the server", DEFAULT_CONTROL, "HOST:PORT", variable="COVEY_CONTROL"),
        Option("data", "its data port, which has the cohort models", DEFAULT_DATA, "HOST:PORT", variable="COVEY_DATA"),
        Option("ports-file", "written once ready: JSON with port and pid", "", "FILE", Path),
    ),
)
_PAGES = Group(
    "The pages",
    (
        Option("tls-cert", "their certificate, with --tls-key; both are read again on change", "", "FILE", Path),
        Option("tls-key", "its private key", "", "FILE", Path),
        Option("insecure-listen", "allow pages beyond this machine without TLS", is_switch=True),
    ),
)

SECTION = Section(
    "dashboard",
    "covey-dashboard",
    "Pages on which people watch and steer rollouts.",
    (_PLACES, client_options(of_whom="this dashboard", role="viewer"), _PAGES),
)
