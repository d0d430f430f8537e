"""What people ask of the control port: one rollout after the other, with every verb, watched while it goes on."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from datetime import UTC, datetime
from random import Random
from typing import Any

import grpc

from covey.rollout.spec import load_spec
from covey.v1 import journal_pb2
from covey.v1 import rollouts_pb2 as pb
from covey.v1.access_pb2 import GetCallerRequest
from covey.v1.analyzer_pb2 import GetServerInfoRequest

from .connection import Server
from .services import PATIENCE_SECONDS, Caller

PLAN = """
target: analyzer
baseline: {baseline}
candidate: {candidate}
shadow_share: 10 %
tick_interval: 1s
soak_tick_interval: 1s
probe_interval: 1s
metrics_grace: 1m
outcome_window: 1m
on_call: {{primary: ada, secondary: grace, escalation: edsger}}
phases:
  - name: canary
    traffic_share: 20 %
    hold: 10s
    max_hold: 30s
    approvals: {{roles: [engineering, finance]}}
    criteria: [{{statement: error_rate < 20 %, margin: 0}}, {{statement: p99 < 30 s}}]
  - name: rollout
    traffic_share: 100 %
    hold: 10s
    max_hold: 30s
    soak: true
    criteria: [{{statement: error_rate < 20 %, margin: 0}}]
triggers: [{{statement: error_rate > 60 %, tolerance: 0}}]
"""
TERMINAL = frozenset({pb.Rollout.STATE_SUCCEEDED, pb.Rollout.STATE_ROLLED_BACK, pb.Rollout.STATE_ABORTED})
LONGEST_SECONDS = 75.0
_ATTEMPTS = 10
_REFUSALS = frozenset({grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.ABORTED})


class People:
    """Takes one rollout after the other to its end.

    Args:
        server: is called.
        seed: of who does what when.
        is_stopping: set when no new work should begin.

    Attributes:
        ends: rollouts by the state that they ended in.
    """

    def __init__(self, server: Server, seed: int, is_stopping: threading.Event) -> None:
        self.ends: Counter[str] = Counter()
        self._server = server
        self._is_stopping = is_stopping
        self._chance = Random(seed)
        self._numbers = itertools.count()

    def caller(self) -> Caller:
        """For one thread."""
        return Caller("take a rollout to its end", 1.0, self._take_one)

    def _take_one(self) -> None:
        number = next(self._numbers)
        name = f"rollouts/r{number}"
        is_aborted, is_denied = number % 3 == 2, number % 6 == 2
        info = GetServerInfoRequest()
        stable = self._server.analyzer.GetServerInfo(info, timeout=PATIENCE_SECONDS).stable_variant
        other = "variants/native" if stable == "variants/reference" else "variants/reference"
        spec = load_spec(PLAN.format(baseline=stable, candidate=other), "plan.yaml")
        request = pb.CreateRolloutRequest(rollout_id=f"r{number}", spec=spec, request_id=f"create {name}")
        self._server.rollouts.CreateRollout(request, timeout=PATIENCE_SECONDS)
        never, past = datetime(2090, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)
        self._do("Postpone", name, phase="canary", not_before=never, reason="not today")
        self._do("Start", name)
        self._do("Postpone", name, phase="canary", not_before=past, reason="today after all")
        watched = self._server.rollouts.WatchRollout(pb.WatchRolloutRequest(name=name), timeout=LONGEST_SECONDS)
        try:
            for looks, message in enumerate(watched):
                rollout = message.rollout
                if rollout.state in TERMINAL:
                    break
                self._act(rollout)
                if is_denied and looks == 5:
                    self._do("Deny", name, phase="rollout", role="finance", reason="not like this")
                if self._is_stopping.is_set() or (is_aborted and looks > 10):
                    self._do("Abort", name, reason="enough")
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                raise
            self._do("Abort", name, reason="it takes too long")
        finally:
            watched.cancel()
        self._read(name)
        state = self._server.rollouts.GetRollout(pb.GetRolloutRequest(name=name), timeout=PATIENCE_SECONDS).state
        self.ends[pb.Rollout.State.Name(state).removeprefix("STATE_")] += 1

    def _act(self, rollout: pb.Rollout) -> None:
        """Sign what is waited for; now and then something else too."""
        name = rollout.name
        for role in rollout.missing_roles:
            self._do("Approve", name, phase="canary", role=role)
        chance = self._chance.random()
        if rollout.paused:
            self._do("Resume", name)
        elif rollout.open_incidents:
            self._do("ResolveIncident", name, incident_id=rollout.open_incidents[0].incident_id)
        elif chance < 0.1:
            self._do("Pause", name, reason="a look")
        elif chance < 0.2:
            self._do("ReportIncident", name, incident_id=f"i{rollout.last_sequence}", description="a page is slow")
        elif chance < 0.3:
            self._do("Acknowledge", name, reason="I look at it")
        elif chance < 0.4:
            self._do("Approve", name, phase="rollout", role="engineering")
            self._do("RevokeApproval", name, phase="rollout", role="engineering", reason="on second thoughts")
        elif chance < 0.45:
            self._do("Promote", name, reason="we have seen enough")

    def _do(self, verb: str, name: str, **fields: Any) -> None:
        """One verb; what the state does not allow now is refused, and that is well."""
        method = verb if verb.endswith(("Incident", "Approval")) else f"{verb}Rollout"
        request = getattr(pb, f"{method}Request")(name=name, request_id=f"{method} {next(self._numbers)}", **fields)
        actor = (("covey-actor", f"of-{fields.get('role', 'operations')}"),)
        for _ in range(_ATTEMPTS):
            try:
                getattr(self._server.rollouts, method)(request, timeout=PATIENCE_SECONDS, metadata=actor)
            except grpc.RpcError as error:
                # A store that is slow for 2 s is not waited for where weight is taken away; what is safe to try again
                # is tried again.
                if error.code() is grpc.StatusCode.UNAVAILABLE:
                    self._is_stopping.wait(1.0)
                    continue
                if error.code() not in _REFUSALS:
                    raise
            return
        raise TimeoutError(f"{method} of {name} found the server unavailable {_ATTEMPTS} times")

    def _read(self, name: str) -> None:
        rollouts = self._server.rollouts
        self._server.access.GetCaller(GetCallerRequest(), timeout=PATIENCE_SECONDS)
        rollouts.ListRollouts(pb.ListRolloutsRequest(), timeout=PATIENCE_SECONDS)
        rollouts.ListEntries(pb.ListEntriesRequest(parent=name, page_size=1000), timeout=PATIENCE_SECONDS)
        rollouts.ListRecords(journal_pb2.ListRecordsRequest(parent=name, page_size=1000), timeout=PATIENCE_SECONDS)
