"""A fleet of three regions for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "fleet.yaml"

_FLEET = """\
name: three
description: The native engine takes over
{harm}
wave_dwell: {dwell}
{done}
{tolerated}
regions:
{regions}
{gate}
rollout:
  target: analyzer
  baseline: reference
  candidate: native
  tick_interval: 10s
  soak_tick_interval: 10s
  phases:
    - name: canary
      traffic_share: 10 %
      hold: 100s
      criteria: [{{statement: error_rate < 2 %, margin: 0}}, p90 < 200 ms]
    - name: ramp
      traffic_share: 50 %
      hold: 100s
      criteria: [{{statement: error_rate < 2 %, margin: 0}}]
    - name: rollout
      traffic_share: 100 %
      hold: 100s
      soak: true
      criteria: [{{statement: error_rate < 2 %, margin: 0}}]
  triggers: [{{statement: error_rate > 6 %, tolerance: 0}}]
"""
GATE = """\
global_gate:
  criteria:
    - {statement: error_rate < 2 %, margin: 0}
  triggers:
    - error_rate > 4 %
"""


def fleet_text(
    *,
    controls: Sequence[str] = ("127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"),
    waves: Sequence[int] | None = (1, 2, 3),
    harm: str = "rollback_region",
    done: str = "",
    dwell: str = "0s",
    tolerated: int = 0,
    gate: str = "",
    override: str = "",
) -> str:
    """The file, with regions eu, us and ap."""
    rows = []
    for index, (name, control) in enumerate(zip(("eu", "us", "ap"), controls, strict=True)):
        wave = f"    wave: {waves[index]}\n" if waves else ""
        rows.append(f"  - name: {name}\n    control: {control}\n{wave}")
    rows[-1] += override
    return _FLEET.format(
        harm=f"on_region_harm: {harm}",
        dwell=dwell,
        done=f"wave_done_in_phase: {done}" if done else "",
        tolerated=f"tolerated_region_count: {tolerated}" if tolerated else "",
        regions="".join(rows),
        gate=gate,
    )


FLEET = fleet_text(
    done="ramp", gate=GATE, override="    overrides: [{statement: p90 < 200 ms, instead: p90 < 400 ms}]\n", dwell="2m"
)
