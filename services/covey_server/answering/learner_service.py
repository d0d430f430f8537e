"""The methods of AnalyzerService that answer for one learner, or for many one by one, and tell what is live."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import grpc

from covey import __version__
from covey.v1 import analyzer_pb2
from covey_server.access.callers import CALLER
from covey_server.access.rules import PROBE_ROLES
from covey_server.answering.admission import ARRIVAL
from covey_server.answering.learner_batches import LearnerBatches, learner_count
from covey_server.answering.learner_calls import Call
from covey_server.errors import CallError, invalid

if TYPE_CHECKING:
    from covey_server.answering.learner_batches import Questions
    from covey_server.answering.learner_calls import LearnerCalls
    from covey_server.answering.online import Question
    from covey_server.catalogue.catalogue import Catalogue
    from covey_server.facts import ServerFacts
    from covey_server.split import SplitBoard

PROBE_KEY = "covey-probe-variant"
LEARNERS_PER_MESSAGE_LIMIT = 1024
_LOOPBACK_PEERS = ("ipv4:127.", "ipv6:[::1]", "ipv6:%5B::1%5D", "unix:")


class PerLearnerMethods:
    """Mixin of the servicer: per-learner calls and GetServerInfo.

    Args:
        learner_calls: answers per-learner questions.
        board: the traffic split in force.
        catalogue: variants and models.
        facts: what does not change while the server lives.
        clock: the time, aware.
    """

    def __init__(
        self,
        learner_calls: LearnerCalls,
        board: SplitBoard,
        catalogue: Catalogue,
        facts: ServerFacts,
        clock: Callable[[], datetime],
    ) -> None:
        self._learner_calls = learner_calls
        self._learner_batches = LearnerBatches(learner_calls)
        self._board = board
        self._catalogue = catalogue
        self._facts = facts
        self._clock = clock

    def AnalyzeLearner(  # noqa: N802 - named by the contract
        self, request: Question, context: grpc.ServicerContext
    ) -> analyzer_pb2.AnalyzeLearnerResponse | bytes:
        """Traits and cohort of one learner, from the variant that the learner is routed to."""
        arrival = ARRIVAL.get()
        call = Call(
            method="AnalyzeLearner",
            started=arrival.submitted,
            remaining_seconds=_remaining(context),
            is_active=context.is_active,
            probed_variant=_probed_variant(context),
            refused=arrival.refused,
        )
        return self._learner_calls.answer(request, call)

    def AnalyzeLearners(  # noqa: N802
        self, request_iterator: Iterator[Questions], context: grpc.ServicerContext
    ) -> Iterator[bytes]:
        """The same for up to 1,024 learners a message, each with its own status, in the order of the messages."""
        probed_variant = _probed_variant(context)
        remaining_seconds = _remaining(context)
        for message in request_iterator:
            count = learner_count(message)
            if not 1 <= count <= LEARNERS_PER_MESSAGE_LIMIT:
                raise invalid("requests", f"holds {count} learners; a message has 1 to {LEARNERS_PER_MESSAGE_LIMIT}")
            # Time that a learner spends behind others of its message is the caller's choice, not the variant's.
            call = Call("AnalyzeLearners", time.monotonic(), remaining_seconds, context.is_active, probed_variant)
            yield self._learner_batches.answer(message, call)

    def GetServerInfo(  # noqa: N802
        self, request: analyzer_pb2.GetServerInfoRequest, context: grpc.ServicerContext
    ) -> analyzer_pb2.GetServerInfoResponse:
        """What is live."""
        stable = self._catalogue.stable()
        response = analyzer_pb2.GetServerInfoResponse(
            version=__version__,
            active_isa=self._facts.active_isa,
            available_isas=self._facts.available_isas,
            stable_variant=stable,
            stable_cohort_model=self._catalogue.variant(stable).cohort_model,
            replica=self._facts.replica,
            faults_enabled=self._facts.faults_enabled,
            newest_tables_version=self._facts.newest_tables_version,
        )
        response.start_time.FromDatetime(self._facts.start_time)
        split = self._board.current(self._clock())
        if split is not None:
            response.active_split.CopyFrom(
                analyzer_pb2.ActiveSplit(
                    rollout=split.rollout,
                    phase=split.phase,
                    baseline=split.baseline,
                    candidate=split.candidate,
                    candidate_weight_bp=split.candidate_weight_bp,
                )
            )
        return response


def _remaining(context: grpc.ServicerContext) -> Callable[[], float]:
    """Seconds until the caller's deadline; a caller without one waits for ever."""

    def remaining_seconds() -> float:
        remaining = context.time_remaining()
        return float("inf") if remaining is None else float(remaining)

    return remaining_seconds


def _probed_variant(context: grpc.ServicerContext) -> str:
    """The variant that a probe asks for, or ""."""
    caller = CALLER.get()
    for name, value in context.invocation_metadata() or ():
        if name == PROBE_KEY and value:
            if not caller.has_any(PROBE_ROLES):
                raise _probe_refused(f"{caller.name} may not choose its variant; leave out metadata {PROBE_KEY}")
            if not caller.is_authenticated and not context.peer().startswith(_LOOPBACK_PEERS):
                raise _probe_refused(f"metadata {PROBE_KEY} is honoured from this machine only; leave it out")
            return value if isinstance(value, str) else value.decode("utf-8", "replace")
    if caller.roles <= PROBE_ROLES:
        raise _probe_refused(f"{caller.name} may only probe: name a variant in metadata {PROBE_KEY}")
    return ""


def _probe_refused(message: str) -> CallError:
    return CallError(grpc.StatusCode.PERMISSION_DENIED, message, reason="PROBE_REFUSED")
