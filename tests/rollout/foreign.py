"""Plans of a service that is not covey's own."""

from __future__ import annotations

HAPROXY = "haproxy: {routers: ['unix:/run/covey/haproxy.sock']}"
SCRAPE = "scrape: {baseline_urls: ['http://127.0.0.1:9001/metrics'], candidate_urls: ['http://127.0.0.1:9002/metrics']}"


def foreign_plan(
    traffic: str = HAPROXY,
    metrics: str = SCRAPE,
    *,
    baseline: str = "127.0.0.1:7001",
    candidate: str = "127.0.0.1:7002",
    criteria: str = "error_rate < 5 %",
    trigger: str = "error_rate > 10 %",
    more: str = "",
) -> str:
    """One phase at half of the traffic, then all of it."""
    return f"""target: echo
baseline: {baseline}
candidate: {candidate}
tick_interval: 1s
probe_interval: 1s
metrics_grace: 30s
traffic:
  {traffic}
metrics:
  {metrics}
{more}
phases:
  - name: canary
    traffic_share: 50 %
    hold: 5m
    criteria: [{{statement: {criteria}, margin: 0}}]
  - name: rollout
    traffic_share: 100 %
    hold: 5m
    soak: true
    criteria: [{{statement: {criteria}, margin: 0}}]
triggers:
  - {{statement: {trigger}, tolerance: 0}}
"""
