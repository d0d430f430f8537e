"""The dashboard's pictures of docs/dashboard.md, from real rollouts: `make dashboard-pictures`.

Each state is reached by the live decide() over a real server; only the traffic is made up, and time is virtual.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from covey.v1.rollouts_pb2 import Rollout

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))  # for tests/programs.py

PLAN = """\
target: analyzer
description: "Release 7: the native engine takes over from the reference engine."
baseline: reference
candidate: native
on_call: {primary: ada, secondary: grace, escalation: edsger}
phases:
  - name: canary
    traffic_share: 5 %
    hold: 1h
    checkpoints: [30m, 1h]
    approvals: {roles: [engineering, operations]}
    criteria:
      - {statement: error_rate < 1 %, margin: 0}
      - p99 < 200 ms
      - {statement: availability > 99.9 %, accept_by: operations}
  - name: ramp
    traffic_share: 25 %
    hold: 2h
    checkpoints: [1h, 2h]
    criteria: [{statement: error_rate < 0.5 %, margin: 0}, p99 < 200 ms, mismatch < 0.5 %]
  - name: rollout
    traffic_share: 100 %
    hold: 2d
    soak: true
    approvals: {roles: [engineering, operations], unless_every_criterion_passes: true}
    criteria: [{statement: error_rate < 0.5 %, margin: 0}, p99 < 200 ms]
triggers:
  - {statement: error_rate > 1.5 %, tolerance: 0, sustained: 2m}
  - {statement: p99 > 250 ms, sustained: 5m}
  - critical_incidents > 0
"""
LARGEST_BYTES = 200_000


def _worlds() -> ModuleType:
    spec = importlib.util.spec_from_file_location("worlds", HERE.parent / "worlds.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["worlds"] = module
    spec.loader.exec_module(module)
    return module


def healthy(site: Any, name: str) -> None:
    """An hour into the ramp, everything proven."""
    site.tick(name, 250, requests_per_second=60.0, error_rate=_uneven(0.0012))


def holding(site: Any, name: str) -> None:
    """A quiet night: availability needs more requests than an hour has brought."""
    site.tick(name, 132, requests_per_second=12.0, error_rate=_uneven(0.0008))


def rolling_back(site: Any, name: str) -> None:
    """The ramp meets learners for whom 4 % of the calls fail."""
    site.tick(name, 200, requests_per_second=60.0, error_rate=_uneven(0.0012))
    ended = site.tick(name, 100, until=Rollout.STATE_ROLLING_BACK, error_rate=lambda _: 0.04)
    if ended.state != Rollout.STATE_ROLLING_BACK:
        raise SystemExit("no rollback came of it")


STATES = {"healthy": (healthy, "light"), "holding": (holding, "light"), "rolling-back": (rolling_back, "dark")}


def _uneven(mean: float) -> Any:
    """An error rate that is not the same at every look, and the same in every run."""
    from random import Random

    random = Random(7)
    return lambda _: max(random.gauss(mean, mean), 0.0)


def main() -> None:
    """Write the pictures."""
    from PIL import Image

    from .browsing import chromium, page_of
    from .site import Site

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=HERE.parents[1] / "docs" / "images")
    parser.add_argument("--only", choices=sorted(STATES))
    options = parser.parse_args()
    worlds = _worlds()
    for state, (reach, scheme) in STATES.items():
        if options.only not in {None, state}:
            continue
        with tempfile.TemporaryDirectory() as directory, chromium() as browser:
            site = Site(Path(directory), worlds)
            try:
                site.create("native-over-reference", plan=PLAN)
                reach(site, "native-over-reference")
                path = options.folder / f"dashboard-{state}.png"
                size = {"width": 1180, "height": 1290}
                with page_of(browser, site, "otto", color_scheme=scheme, viewport=size) as page:
                    page.goto("/rollouts/native-over-reference")
                    page.locator(".card .now").first.wait_for()
                    page.wait_for_function("document.querySelector('time[data-ago]').textContent.match(/ago|now/)")
                    page.screenshot(path=path)
                # A palette is enough for lines and letters.
                Image.open(path).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
                print(f"{path}: {path.stat().st_size:,} bytes")
                if path.stat().st_size > LARGEST_BYTES:
                    raise SystemExit(f"{path} is larger than {LARGEST_BYTES:,} bytes")
            finally:
                site.close()


if __name__ == "__main__":
    main()
