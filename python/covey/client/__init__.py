"""A thin, typed client of covey's services.

    >>> from covey.client import Client
    >>> with Client(actor="ada") as client:             # doctest: +SKIP
    ...     client.get_rollout("native-over-reference")  # doctest: +SKIP

Channels open with the first call. Mutations carry a `request_id` that a retry repeats, so a call that failed but
happened is not done twice. Every failure is a `CallFailed` that says what, where and what to do.
"""

from __future__ import annotations

from covey.client.analyzer import AnalyzerCalls
from covey.client.channel import DEFAULT_CONTROL, DEFAULT_DATA, Security
from covey.client.experiments import ExperimentCalls
from covey.client.failure import CallFailed
from covey.client.federation import FederationCalls
from covey.client.interventions import InterventionCalls
from covey.client.names import rollout_name
from covey.client.retry import Retry
from covey.client.rollouts import RolloutCalls
from covey.client.tuning import TuningCalls

__all__ = ["DEFAULT_CONTROL", "DEFAULT_DATA", "CallFailed", "Client", "Retry", "Security", "rollout_name"]


class Client(RolloutCalls, AnalyzerCalls, ExperimentCalls, FederationCalls, InterventionCalls, TuningCalls):
    """Calls of one caller to one server: rollouts on its control port, everything else on its data port.

    Args:
        control: address of the control port, "host:port" or "unix:path".
        data: address of the data port.
        actor: the caller's name, believed by a server that knows nobody by token or certificate.
        timeout_seconds: the whole time a call may take, retries included.
        security: certificates and token; the default is plaintext on loopback and TLS elsewhere.
        retry: how UNAVAILABLE is tried again; clocks and randomness live there.
    """
