"""Draws the pictures of the documentation that show covey at work: `make pictures`.

A rollout in virtual time, made by the real decide(), so that the same pictures come again.
"""

from __future__ import annotations

import io
import json
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
from covey.report.experiment_pictures import segments_pictures
from covey.rollout.resource import to_resource

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT / "tests"))
import worlds  # noqa: E402 - tests are no package

IMAGES = PROJECT / "docs" / "images"
COLUMNS = 80
REPORT_PIXELS = "1000,1180"
EXPERIMENT_PIXELS = "1000,1310"
COURSE_OUTCOMES = [
    *("--outcome", "revenue=mean:revenue;cuped=revenue_before"),
    *("--outcome", "kept=proportion:kept"),
    *("--outcome", "left=time:days,left"),
]
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


def draw_page(html: str, pixels: str, path: Path) -> None:
    """The top of a page, as a browser shows it: needs Chromium."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        sys.exit(f"{path.name} needs Chromium; apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(html, encoding="utf-8")
        # As root in a container a browser has no sandbox; the page is our own and loads nothing.
        command = [browser, "--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={pixels}"]
        subprocess.run([*command, f"--screenshot={path}", page.as_uri()], check=True, capture_output=True, timeout=120)


def draw_experiment(report: Path, segments: Path) -> None:
    """The report of the made-up course's experiment, and the picture of its segments."""
    covey = [sys.executable, "-m", "covey.cli"]
    with tempfile.TemporaryDirectory() as folder:
        course = Path(folder) / "course.parquet"
        page = Path(folder) / "course.html"
        make = PROJECT / "examples" / "course-experiment" / "make.py"
        subprocess.run([sys.executable, str(make), str(course)], check=True, timeout=120)
        asked = [course.name, *COURSE_OUTCOMES]
        command = [*covey, "experiment", "report", *asked, "--to", str(page), "--planned-units", "60000"]
        subprocess.run(command, check=True, cwd=folder, capture_output=True, timeout=120)
        draw_page(page.read_text(encoding="utf-8"), EXPERIMENT_PIXELS, report)
        command = [*covey, "segments", *asked, "--segment", "region", "--output", "json"]
        told = subprocess.run(command, check=True, cwd=folder, capture_output=True, timeout=120)
    (revenue, *_) = segments_pictures(json.loads(told.stdout))
    # Its own ground, for readers of dark pages.
    head, body = revenue.standalone.split(">", 1)
    segments.write_text(f'{head}><rect width="100%" height="100%" fill="#ffffff"/>{body}', encoding="utf-8")


if __name__ == "__main__":
    draw_watch(IMAGES / "watch.svg")
    draw_page(build_report(worlds.rolled_back().journal).html(), REPORT_PIXELS, IMAGES / "report.png")
    draw_experiment(IMAGES / "experiment.png", IMAGES / "segments.svg")
