"""A real Chromium without a screen, as Debian has it, driven by playwright; and what axe says about a page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright
from programs import program

from .site import Site

# Everything that a human reads must be there within this time, also on a busy machine.
PATIENCE_MS = 20_000


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser."""
    path = program("chromium")
    with sync_playwright() as playwright:
        # Tests run as root in containers, where Chromium has no sandbox to go to.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def page_of(browser: Browser, site: Site, name: str, **context: Any) -> Iterator[Page]:
    """A page of somebody who is logged in.

    Args:
        browser: from `chromium`.
        site: what is looked at.
        name: who looks.
        context: of the browser, such as `color_scheme`, `viewport` and `java_script_enabled`.
    """
    opened = browser.new_context(
        base_url=site.dashboard.url, **({"viewport": {"width": 1200, "height": 900}} | context)
    )
    opened.set_default_timeout(PATIENCE_MS)
    page = opened.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda line: problems.append(line.text) if "Content Security Policy" in line.text else None)
    page.goto("/login")
    page.fill("#token, #name", site.tokens[name] if site.tokens_file else name)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(lambda url: "/login" not in url)
    yield page
    opened.close()
    assert not problems


def violations(page: Page) -> list[str]:
    """What axe-core finds wrong with a page, by WCAG 2.2 A and AA and good practice."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {each['help']}: {node['html'][:160]} {node['failureSummary']}"
        for each in found
        for node in each["nodes"]
    ]


def overflow(page: Page) -> int:
    """How many pixels a page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
