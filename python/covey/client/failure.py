"""What a failed call says to a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import grpc
from google.rpc import error_details_pb2

_REMEDIES: Mapping[grpc.StatusCode, str] = {
    grpc.StatusCode.INVALID_ARGUMENT: "correct the fields named above and call again",
    grpc.StatusCode.NOT_FOUND: "check the name; `covey rollout list` shows the rollouts there are",
    grpc.StatusCode.ALREADY_EXISTS: "choose another id, or look at the one there is with `covey rollout status`",
    grpc.StatusCode.FAILED_PRECONDITION: "`covey rollout status` says what is legal now",
    grpc.StatusCode.ABORTED: "somebody else changed it meanwhile: look again, then repeat the call",
    grpc.StatusCode.PERMISSION_DENIED: "call with the token or certificate of somebody who may do this",
    grpc.StatusCode.UNAUTHENTICATED: "give a token (--token-file, environment: COVEY_TOKEN) or --cert and --key",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "the server is at its limit: wait a little and repeat the call",
    grpc.StatusCode.UNIMPLEMENTED: "this is no covey port of that kind; rollouts live on the control port (--control)",
    grpc.StatusCode.INTERNAL: "the server's log has the details under the request id",
}

_WORDLESS_WAIT_SECONDS = 0.2
_RIGHT_ADDRESS = "name the right address with --control (environment: COVEY_CONTROL), of a data port with --server"
_REMEDY_OF_PLAINTEXT = f"if it speaks TLS give --cacert (and --token-file); else {_RIGHT_ADDRESS}"
_REMEDY_OF_TLS = (
    "check --cacert and --servername against its certificate; on loopback leave them out if it speaks no TLS;"
    f" else {_RIGHT_ADDRESS}"
)


@dataclass(frozen=True)
class FailureDetails:
    """What `google.rpc` details came with a status.

    Attributes:
        violations: (field, description) pairs of BadRequest.
        reason: machine-readable reason of ErrorInfo, such as "ROLLOUT_ACTIVE"; empty where absent.
        metadata: of ErrorInfo.
        retry_after_seconds: of RetryInfo; None where absent.
    """

    violations: Sequence[tuple[str, str]] = ()
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    retry_after_seconds: float | None = None


class CallFailed(Exception):  # noqa: N818 - a sentence reads better than CallFailedError
    """A call to a service that did not succeed.

    Attributes:
        code: canonical status code.
        message: what happened, in the server's words.
        remedy: what to do.
        details: field violations, reason, metadata and the time to wait.
        address: who was called.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        remedy: str = "",
        details: FailureDetails | None = None,
        address: str = "",
    ) -> None:
        self.code = code
        self.message = message
        self.remedy = remedy
        self.details = details or FailureDetails()
        self.address = address
        super().__init__(self._text())

    @property
    def is_unreachable(self) -> bool:
        """Whether no server answered at all."""
        is_silence = self.code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
        # A server that gives a reason is there, even if its store is not.
        return is_silence and not self.details.reason

    @property
    def may_succeed_later(self) -> bool:
        """Whether the same call, made again, may succeed: no server answered, or one said when to come back.

        A server in a storm, or one that drains, ends calls as CANCELLED without a word; this client cancels none.
        """
        is_refused = self.code is grpc.StatusCode.RESOURCE_EXHAUSTED and self.details.retry_after_seconds is not None
        return is_refused or self.code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}

    @property
    def wait_seconds(self) -> float | None:
        """After which time to make the call again, where the server named one, or had none left to name it."""
        is_wordless = self.code is grpc.StatusCode.CANCELLED and self.details.retry_after_seconds is None
        return _WORDLESS_WAIT_SECONDS if is_wordless else self.details.retry_after_seconds

    def beside_a_listener(self, uses_tls: bool) -> CallFailed:
        """The same failure where something accepts connections all the same: most likely one side speaks TLS only."""
        remedy = _REMEDY_OF_TLS if uses_tls else _REMEDY_OF_PLAINTEXT
        return CallFailed(self.code, f"{self.message}, but something listens there", remedy, self.details, self.address)

    def _text(self) -> str:
        lines = [f"{self.code.name}: {self.message}"]
        # A server may have put a violation into its message already.
        lines += [
            f"  {place}: {description}" if place else f"  {description}"
            for place, description in self.details.violations
            if description not in self.message
        ]
        if self.remedy:
            lines.append(f"what to do: {self.remedy}")
        return "\n".join(lines)


def read_details(error: grpc.RpcError) -> FailureDetails:
    """The `google.rpc` details of an error; empty ones where it carries none or garbled ones."""
    from grpc_status import rpc_status

    try:
        status = rpc_status.from_call(error)  # type: ignore[arg-type]
    except (ValueError, AttributeError):
        return FailureDetails()
    if status is None:
        return FailureDetails()
    violations: list[tuple[str, str]] = []
    reason, metadata, retry_after = "", dict[str, str](), None
    for detail in status.details:
        bad_request = error_details_pb2.BadRequest()
        information = error_details_pb2.ErrorInfo()
        retry = error_details_pb2.RetryInfo()
        if detail.Unpack(bad_request):
            violations += [(violation.field, violation.description) for violation in bad_request.field_violations]
        elif detail.Unpack(information):
            reason, metadata = information.reason, dict(information.metadata)
        elif detail.Unpack(retry):
            retry_after = retry.retry_delay.ToTimedelta().total_seconds()
    return FailureDetails(tuple(violations), reason, metadata, retry_after)


def call_failed(error: grpc.RpcError, address: str, timeout_seconds: float) -> CallFailed:
    """The friendly form of an error that gRPC raised for a call to `address`."""
    code: grpc.StatusCode = error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.UNKNOWN
    message = (error.details() if isinstance(error, grpc.Call) else None) or str(error)
    details = read_details(error)
    remedy = details.metadata.get("remedy") or _REMEDIES.get(code, "")
    if code is grpc.StatusCode.UNAVAILABLE and not details.reason:
        message = f"no covey server answers at {address} ({_last_clause(message)})"
        remedy = f"start one with `covey serve`, or {_RIGHT_ADDRESS}"
    elif code is grpc.StatusCode.DEADLINE_EXCEEDED:
        message = f"{address} gave no answer within {timeout_seconds:g} s"
        remedy = "a mutation may have happened: look with `covey rollout status`, or allow more time with --timeout"
    elif code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in message:
        remedy = "send less at once: `AppendEvents` takes any number of events in chunks, and calls may name a dataset"
    if details.retry_after_seconds is not None:
        remedy = f"try again in {details.retry_after_seconds:g} s" + (f"; {remedy}" if remedy else "")
    return CallFailed(code, message, remedy, details, address)


def _last_clause(text: str) -> str:
    # gRPC's own words repeat the address and every layer; the last clause of the last attempt says why.
    return text.strip().splitlines()[-1].rsplit(": ", 1)[-1][:160] if text.strip() else "no reason given"
