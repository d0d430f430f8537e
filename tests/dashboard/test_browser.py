"""The dashboard as people meet it: a real Chromium before a real server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from covey.report import words
from covey.v1.rollouts_pb2 import Rollout

from .browsing import PATIENCE_MS, chromium, overflow, page_of, violations
from .site import Site

ROLLOUT = "/rollouts/native"
HEADINGS = (
    "Phases and traffic", "To advance, all of these", "Rolls back once one is shown", "People", "Incidents",
    "What the controller reads", "Probes", "Share on the wire", "Segments", "Story",
)  # fmt: skip

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, worlds: ModuleType) -> Iterator[Site]:
    """Rollouts in many states and a cohort model; only looked at."""
    site = Site(tmp_path_factory.mktemp("shown"), worlds)
    site.create("draft", sign=False, start=False)
    site.create("back")
    site.tick("back", 14, requests_per_second=40.0)
    site.tick("back", 30, requests_per_second=40.0, error_rate=lambda _: 0.06)
    site.create("native")
    site.tick("native", 20, requests_per_second=40.0)
    site.discover()
    yield site
    site.close()


def state(page: Page) -> Any:
    return page.locator("[data-state]")


def test_everything_is_on_the_page(browser: Browser, shown: Site) -> None:
    with page_of(browser, shown, "otto") as page:
        page.goto(ROLLOUT)
        expect(state(page)).to_have_attribute("data-state", "RUNNING")
        expect(page).to_have_title(re.compile(r"^RUNNING 50 % · native · covey$"))
        for name in HEADINGS:
            expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
        for statement in ("error_rate < 0.5 %", "p99 < 200 ms", "mismatch < 1 %"):
            picture = page.get_by_role("img", name=re.compile(f"^{re.escape(statement)}: estimate .* that prove it$"))
            expect(picture).to_be_visible()
        expect(
            page.get_by_role("img", name=re.compile("^The candidate's share of learners: canary at 10 %"))
        ).to_be_visible()
        expect(page.get_by_role("progressbar", name="time in the phase")).to_be_visible()
        expect(page.get_by_role("rowheader", name="error_rate > 1.5 %")).to_be_visible()
        expect(page.get_by_role("meter", name="ln E over its threshold")).to_have_count(2)
        expect(page.locator("[aria-current=step]")).to_contain_text("ramp")
        expect(page.get_by_text("edda", exact=False).first).to_be_visible()
        for button in ("Pause", "Promote", "Abort", "Report an incident", "Postpone"):
            expect(page.get_by_role("link", name=button, exact=True)).to_be_visible()
        story = page.locator(".story li")
        expect(story.last).to_contain_text("Created: variants/native over variants/reference in 3 phases")
        expect(page.locator("time[data-ago]").first).to_contain_text(re.compile("ago|just now"))


def test_viewers_have_no_buttons(browser: Browser, shown: Site) -> None:
    with page_of(browser, shown, "vera") as page:
        page.goto(ROLLOUT)
        expect(page.get_by_text("nothing here for you to press")).to_be_visible()
        expect(page.locator("a.button")).to_have_count(0)


def test_a_whole_rollout_is_watched_without_loading_the_page_again(browser: Browser, site: Site) -> None:
    site.create("native", sign=False, start=False)
    with page_of(browser, site, "otto") as page:
        page.goto(ROLLOUT)
        page.evaluate("document.body.dataset.sameDocument = 'yes'")

        def confirm(button: str) -> None:
            page.get_by_role("link", name=button, exact=True).first.click()
            dialog = page.get_by_role("dialog")
            dialog.get_by_label("Reason").fill("it is time")
            dialog.get_by_role("button").click()
            expect(page.locator("#notice")).to_contain_text("recorded")
            page.evaluate("document.body.dataset.sameDocument = 'yes'")

        confirm("Start")
        site.tick("native", 1)
        expect(state(page)).to_have_attribute("data-state", "AWAITING APPROVAL")
        expect(state(page)).to_contain_text("Phase canary needs the approval of engineering, operations.")
        confirm("Approve canary for operations")
        with site.client("edda") as edda:
            edda.approve_rollout("native", "canary", "engineering", reason="fine")
        expect(page.get_by_text("edda")).not_to_have_count(0)
        seen = []
        for _ in range(60):
            ended = site.tick("native", 1, requests_per_second=40.0)
            expect(state(page)).to_have_attribute("data-state", words.state(ended.state))
            seen.append(state(page).locator(".what").inner_text())
            if ended.state == Rollout.STATE_SUCCEEDED:
                break
        assert seen[-1] == "Done: everybody gets native."
        told = list(dict.fromkeys(seen))
        assert "10 % of learners get native, in phase canary." in told
        assert "50 % of learners get native, in phase ramp." in told
        assert page.evaluate("document.body.dataset.sameDocument") == "yes"
        expect(page).to_have_title(re.compile("^SUCCEEDED 100 % · native"))
        expect(page.locator("#said")).to_have_text("native is now SUCCEEDED")
        expect(page.locator(".story li").first).to_contain_text("Ended: SUCCEEDED")
        expect(page.locator("[data-section=buttons] a.button")).to_have_count(0)


def test_an_abort_asks_for_a_reason_and_is_seen_at_once(browser: Browser, site: Site) -> None:
    site.create("native")
    site.tick("native", 3, requests_per_second=40.0)
    with page_of(browser, site, "olga") as page:
        page.goto(ROLLOUT)
        abort = page.get_by_role("link", name="Abort", exact=True)
        abort.click()
        dialog = page.get_by_role("dialog", name="Abort: native")
        expect(dialog).to_contain_text("Takes the 10 % of learners that get native back to reference at once")
        expect(dialog.get_by_label("Reason")).to_be_focused()
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        expect(abort).to_be_focused()
        page.keyboard.press("Enter")
        expect(dialog).to_be_visible()
        dialog.get_by_role("button", name="Abort").click()  # the reason is missing: the browser says so
        expect(dialog).to_be_visible()
        dialog.get_by_label("Reason").fill("learners see empty pages")
        dialog.get_by_role("button", name="Abort").click()
        expect(page.locator("#notice")).to_have_text("Abort: recorded.")
        expect(state(page)).to_have_attribute("data-state", "ROLLING BACK")
        expect(page.locator(".story li").first).to_contain_text("learners see empty pages")
        expect(page).to_have_url(re.compile(f"{ROLLOUT}$"))
        site.tick("native", 3, requests_per_second=40.0)
        expect(state(page)).to_have_attribute("data-state", "ABORTED")
        expect(state(page)).to_contain_text("Everybody gets reference.")


def test_a_server_that_dies_is_marked_and_found_again(browser: Browser, site: Site) -> None:
    site.create("native")
    site.tick("native", 3, requests_per_second=40.0)
    with page_of(browser, site, "olga") as page:
        page.goto(ROLLOUT)
        expect(state(page)).to_have_attribute("data-state", "RUNNING")
        site.stop_server()
        banner = page.get_by_role("alert").filter(has_text="The server does not answer.")
        expect(banner).to_be_visible()
        expect(banner).to_contain_text(re.compile("What you see is what it said last, (just now|\\d+ (s|min) ago)"))
        expect(state(page)).to_contain_text("10 % of learners get native")
        site.start_server()
        expect(banner).to_be_hidden()
        site.tick("native", 20, requests_per_second=40.0)
        expect(state(page)).to_contain_text("50 % of learners get native")


def test_a_page_that_has_lost_its_dashboard_says_so_and_recovers(browser: Browser, site: Site) -> None:
    site.create("native")
    site.tick("native", 3, requests_per_second=40.0)
    with page_of(browser, site, "olga") as page:
        page.goto(ROLLOUT)
        expect(state(page)).to_have_attribute("data-state", "RUNNING")
        site.stop_dashboard()
        lost = page.locator("#lost")
        expect(lost).to_be_visible()
        expect(lost).to_contain_text(
            re.compile(r"lost its dashboard\. What you see is the state of \d\d:\d\d:\d\d UTC")
        )
        site.start_dashboard()
        # It knows nobody: sessions are in memory.
        page.wait_for_url(lambda url: "/login" in url)


def test_what_somebody_opened_and_focused_stays(browser: Browser, site: Site) -> None:
    site.create("native")
    site.tick("native", 3, requests_per_second=40.0)
    with page_of(browser, site, "olga") as page:
        page.goto(ROLLOUT)
        details = page.locator("details").first
        details.locator("summary").click()
        page.get_by_role("link", name="Pause", exact=True).focus()
        before = page.locator(".card dd").first.inner_text()
        site.tick("native", 2, requests_per_second=40.0)
        expect(page.locator(".card dd").first).not_to_have_text(before)
        expect(details).to_have_attribute("open", "")
        expect(page.get_by_role("link", name="Pause", exact=True)).to_be_focused()


PAGES = (
    "/", ROLLOUT, "/rollouts/back", "/rollouts/draft", f"{ROLLOUT}/abort", f"{ROLLOUT}/postpone", "/models", "MODEL",
    "/rollouts/nothing",
)  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_no_page_is_wider_than_a_telephone(browser: Browser, shown: Site, scheme: Any) -> None:
    narrow = {"width": 360, "height": 780}
    with page_of(browser, shown, "otto", color_scheme=scheme) as page:
        for path in PAGES:
            page.set_viewport_size({"width": 1200, "height": 900})
            page.goto(path.replace("MODEL", f"/models/{shown.model}"))
            expect(page.locator("h1")).to_be_visible()
            assert violations(page) == [], path
            page.set_viewport_size(narrow)  # type: ignore[arg-type]
            assert overflow(page) == 0, path
        page.set_viewport_size(narrow)  # type: ignore[arg-type]
        page.goto(ROLLOUT)
        assert violations(page) == []
        page.get_by_role("link", name="Abort", exact=True).click()
        expect(page.get_by_role("dialog")).to_be_visible()
        assert violations(page) == []
        assert overflow(page) == 0
    with page_of(browser, shown, "vera", color_scheme=scheme, viewport=narrow) as page:
        page.context.clear_cookies()
        page.goto("/login")
        assert violations(page) == []
        assert overflow(page) == 0


def test_axe_finds_what_is_wrong(browser: Browser) -> None:
    """The twin: a page on which nothing may be found must be able to fail."""
    page = browser.new_page()
    page.set_content("<html><body><img src=x><p style='color:#bbb;background:#fff'>pale</p></body></html>")
    found = " ".join(violations(page))
    assert "image-alt" in found
    assert "color-contrast" in found
    page.set_viewport_size({"width": 360, "height": 300})
    page.set_content("<div style='width:500px'>wide</div>")
    assert overflow(page) > 0
    page.close()


def test_dark_is_dark(browser: Browser, shown: Site) -> None:
    lightness = {}
    for scheme in ("light", "dark"):
        with page_of(browser, shown, "vera", color_scheme=scheme) as page:
            page.goto(ROLLOUT)
            colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
            lightness[scheme] = sum(map(int, re.findall(r"\d+", colour)[:3]))
    assert lightness["dark"] < 100
    assert lightness["light"] > 600


def test_the_keyboard_reaches_everything_in_reading_order(browser: Browser, shown: Site) -> None:
    with page_of(browser, shown, "olga") as page:
        page.goto(ROLLOUT)
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Pause", exact=True)).to_be_focused()
        order = page.evaluate(
            """() => [...document.querySelectorAll("a, button, summary, [tabindex='0']")]
              .filter((each) => each.checkVisibility()).map((each) => each.tabIndex)"""
        )
        assert set(order) == {0}  # the order of the document, and nothing is left out


def test_without_scripts_the_page_shows_the_state_and_the_buttons_work(browser: Browser, site: Site) -> None:
    site.create("native")
    site.tick("native", 3, requests_per_second=40.0)
    with page_of(browser, site, "olga", java_script_enabled=False) as page:
        page.goto(ROLLOUT)
        expect(state(page)).to_contain_text("10 % of learners get native")
        expect(page.get_by_role("img", name=re.compile("^error_rate < 1 %: estimate"))).to_be_visible()
        page.get_by_role("link", name="Abort", exact=True).click()
        expect(page.get_by_role("heading", name="Abort", exact=True)).to_be_visible()
        page.get_by_label("Reason").fill("no script was needed")
        page.get_by_role("button", name="Abort").click()
        expect(page.get_by_text("Abort: recorded.")).to_be_visible()
        for _ in range(20):
            if "ROLLING BACK" in page.content():
                break
            page.reload()
        expect(state(page)).to_have_attribute("data-state", "ROLLING BACK")


def test_a_cohort_model_is_a_page_of_pictures(browser: Browser, shown: Site) -> None:
    with page_of(browser, shown, "vera") as page:
        page.goto("/models")
        page.get_by_role("link", name=shown.model).click()
        cards = page.locator("article.card")
        expect(cards.nth(1)).to_be_visible()
        count = cards.count()
        expect(
            page.get_by_role("img", name=re.compile(r": velocity 0\.\d\d \(everybody 0\.\d\d\), affinity"))
        ).to_have_count(count)
        expect(page.get_by_text("silhouette", exact=True)).to_be_visible()
        shares = [float(text.rstrip(" %")) for text in page.locator("article .size strong").all_inner_texts()]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(100, abs=1)
