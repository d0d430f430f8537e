"""Draws the pictures of the documentation that show covey at work: `make pictures`.

A rollout in virtual time, made by the real decide(), so that the same pictures come again.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme

from covey.cli.rollout_live import ShareHistory
from covey.cli.rollout_screen import screen
from covey.report import build_report
from covey.rollout.resource import to_resource

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT / "tests"))
import worlds  # noqa: E402 - tests are no package

IMAGES = PROJECT / "docs" / "images"
COLUMNS = 80
REPORT_PIXELS = "1000,1180"
THEME = TerminalTheme(
    (16, 22, 29), (214, 221, 228),
    [(60, 68, 77), (255, 123, 114), (63, 185, 128), (227, 179, 65), (88, 166, 255), (210, 153, 255), (57, 197, 207),
     (214, 221, 228)],
    [(139, 148, 158), (255, 161, 152), (86, 211, 152), (240, 200, 90), (121, 192, 255), (226, 180, 255),
     (86, 212, 221), (255, 255, 255)],
)  # fmt: skip


def watched() -> worlds.World:
    """Seven minutes into the second phase, where one criterion is still open."""
    world = worlds.World(worlds.Traffic(requests_per_second=16.0))
    world.start()
    world.run(10 * 60 + 90)
    return world


def draw_watch(path: Path) -> None:
    """What `covey rollout watch` shows on a terminal, as SVG."""
    world = watched()
    assert world.state is not None
    history = ShareHistory()
    history.hear(world.journal)
    console = Console(
        file=io.StringIO(),
        record=True,
        width=COLUMNS,
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
    )
    now = world.now + timedelta(seconds=4)
    console.print(screen(to_resource(world.state), now, history=history, ways_out=True))
    svg = console.export_svg(title="covey rollout watch native-over-reference", theme=THEME, unique_id="watch")
    # A picture in a repository asks no other site for its letters.
    svg = "\n".join(line for line in svg.splitlines() if "url(" not in line or "clip-path" in line)
    path.write_text(svg + "\n", encoding="utf-8")


def draw_report(path: Path) -> None:
    """The top of the report of a rollback, as a browser shows it: needs Chromium."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        sys.exit(f"{path.name} needs Chromium; apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        page.write_text(build_report(worlds.rolled_back().journal).html(), encoding="utf-8")
        # As root in a container a browser has no sandbox; the page is our own and loads nothing.
        command = [browser, "--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={REPORT_PIXELS}"]
        subprocess.run([*command, f"--screenshot={path}", page.as_uri()], check=True, capture_output=True, timeout=120)


if __name__ == "__main__":
    draw_watch(IMAGES / "watch.svg")
    draw_report(IMAGES / "report.png")
