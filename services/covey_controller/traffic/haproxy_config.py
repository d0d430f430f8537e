"""The configuration of HAProxy for one rollout target, as text. Pure."""

from __future__ import annotations

import hashlib
import re

from covey.rollout.traffic import addresses
from covey.v1.rollout_spec_pb2 import RolloutSpec
from covey_controller.traffic.setting import WEIGHT_MODULUS

TICKET_HEADER = "x-covey-ticket"

_TEMPLATE = """\
# HAProxy (2.6 or later) for the rollouts of {target}; written by `covey router haproxy`, explained in
# docs/foreign-services.md.

global
  # What the controller said last: epoch, change and weight as one number. 0 gives the candidate nothing: that is how
  # every process begins, also after a crash or a reload, until the controller says it again a second later.
  set-var proc.covey_ticket_{word} int(0)
  set-var proc.covey_start_{word} date(0,ms)
  set-var proc.covey_heard_{word} date()
  # A reload leaves the old process to its open connections, with the weight that it had: not for long.
  hard-stop-after 10s

defaults covey
  mode http
  timeout connect 2s
  timeout client 1h
  timeout server 1h
  timeout http-request 5s
  # A call to a process that is gone fails at once, and within a second or two the process is not asked any more.
  retries 0
  default-server check inter 1s fall 1 rise 1

# The controller's door. A ticket is taken only where it is greater than the one in force (iflt), so that a controller
# whose lease is over changes nothing.
frontend covey_control_{word}
  bind {control}
  timeout client 5s
  # That somebody asked at all: see covey_heard below.
  http-request set-var(proc.covey_heard_{word}) date()
  acl covey_ticket req.hdr({ticket_header}) -m reg ^[0-9]{{1,18}}$
  http-request set-var(proc.covey_ticket_{word},iflt) req.hdr({ticket_header}),add(0) if METH_PUT covey_ticket
  http-request return status 200 content-type text/plain lf-string \
"ticket=%[var(proc.covey_ticket_{word})] start_ms=%[var(proc.covey_start_{word})] splits={splits}\
 reached=%[nbsrv(covey_{word}_baseline)]/%[nbsrv(covey_{word}_candidate)]\\n"

frontend covey_{word}
  bind {listen} proto h2
  # A learner's place among 10,000 never changes, so learners stay where they are while the weight rises.
  http-request set-var(txn.covey_place) req.hdr({header}),xxh32(0),mod(10000)
  http-request set-var(txn.covey_weight) var(proc.covey_ticket_{word}),mod({modulus})
  acl covey_named var(txn.covey_place) -m found
  acl covey_chosen var(txn.covey_place),sub(txn.covey_weight) lt 0
  # Of a candidate that is gone as a whole nobody is sent calls: the controller sees it by its own probes.
  acl covey_alive nbsrv(covey_{word}_candidate) gt 0
  # The dead man's switch: where no controller asked for {silence_seconds} s nobody watches the candidate, and the
  # baseline serves everybody until one asks again. With all of the traffic the candidate is what serves.
  acl covey_heard date(),sub(proc.covey_heard_{word}) lt {silence_seconds}
  acl covey_all var(txn.covey_weight),add(0) ge 10000
  use_backend covey_{word}_candidate if covey_named covey_chosen covey_alive covey_heard
  use_backend covey_{word}_candidate if covey_named covey_chosen covey_alive covey_all
  default_backend covey_{word}_baseline

backend covey_{word}_baseline
  balance leastconn
{baseline}

backend covey_{word}_candidate
  balance leastconn
{candidate}
"""


SILENCE_SECONDS = 60
"""Without a word of a controller for so long, the candidate gets nothing."""


def haproxy_config(spec: RolloutSpec, *, listen: str, router: str, silence_seconds: int = SILENCE_SECONDS) -> str:
    """The whole file.

    Args:
        spec: of a target that HAProxy splits, with defaults.
        listen: HOST:PORT where callers reach the service.
        router: control socket of this process, as in the spec's routers.
        silence_seconds: see `SILENCE_SECONDS`.

    Raises:
        ValueError: HAProxy does not split this target, or the router is none of the spec's.
    """
    if not spec.traffic.HasField("haproxy"):
        raise ValueError(f"the traffic of {spec.target} is not split by HAProxy; expected traffic: haproxy")
    if router not in spec.traffic.haproxy.routers:
        raise ValueError(f"'{router}' is none of the plan's routers: {', '.join(spec.traffic.haproxy.routers)}")
    path = router.removeprefix("unix:")
    return _TEMPLATE.format(
        target=spec.target,
        splits=what_it_splits(spec),
        word=re.sub(r"[^a-z0-9]", "_", spec.target),
        control=router if path == router else f"unix@{path} mode 600",
        listen=listen,
        header=spec.traffic.haproxy.header,
        ticket_header=TICKET_HEADER,
        modulus=WEIGHT_MODULUS,
        silence_seconds=silence_seconds,
        baseline=_servers(spec.baseline),
        candidate=_servers(spec.candidate),
    )


def what_it_splits(spec: RolloutSpec) -> str:
    """A word for target, header and both variants: a router that was configured for others must not be moved."""
    parts = (spec.target, spec.traffic.haproxy.header, ",".join(addresses(spec.baseline)))
    text = "\n".join((*parts, ",".join(addresses(spec.candidate))))
    return f"{spec.target}/{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _servers(variant: str) -> str:
    return "\n".join(f"  server s{number} {address} proto h2" for number, address in enumerate(addresses(variant)))
