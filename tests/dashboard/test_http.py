"""The pages over HTTP, before a real server: who sees what, who may do what, and what is refused."""

from __future__ import annotations

import logging

import httpx
import pytest
from waiting import wait_until

from .site import Site, buttons, hidden, log_in, press

ROLLOUT = "/rollouts/native"


def test_a_viewer_sees_everything_and_no_button(site: Site) -> None:
    site.create("native")
    site.tick("native", 5, requests_per_second=20.0)
    with site.browser("vera") as browser:
        wait_until(lambda: 'href="/rollouts/native"' in browser.get("/").text)
        page = browser.get(ROLLOUT).text
        for words in ("10 % of learners get native", "error_rate &lt; 1 %", "edda", "looked at the rehearsal", "<svg"):
            assert words in page
        assert buttons(page) == []
        assert "nothing here for you to press (vera: viewer)" in page


@pytest.mark.parametrize("verb", ["abort", "pause", "promote", "approve", "report-incident"])
def test_a_viewer_who_sends_the_form_all_the_same_is_told_no(site: Site, verb: str) -> None:
    site.create("native")
    with site.browser("vera") as browser:
        assert browser.get(f"{ROLLOUT}/{verb}").status_code == 403
        form = hidden(browser.get(ROLLOUT).text)  # with the right token of their session
        answer = browser.post(
            f"{ROLLOUT}/{verb}", data={**form, "reason": "x", "phase": "canary", "role": "engineering"}
        )
        assert answer.status_code == 403
        assert "not yours to do" in answer.text
    with site.client("vera") as client:
        assert client.get_rollout("native").last_sequence == 4


def test_an_operator_aborts_with_a_reason_under_their_own_name(site: Site) -> None:
    site.create("native")
    site.tick("native", 3, requests_per_second=20.0)
    with site.browser("olga") as browser:
        path = f"{ROLLOUT}/abort"
        assert path in buttons(browser.get(ROLLOUT).text)
        assert "Takes the 10 % of learners that get native back to reference at once" in browser.get(path).text
        unsaid = press(browser, path, reason="  ")
        assert unsaid.status_code == 400
        assert "say why" in unsaid.text
        answer = press(browser, path, reason="the login page is slow")
        assert (answer.status_code, answer.headers["location"]) == (303, f"{ROLLOUT}?done=abort")
        assert "Abort: recorded." in browser.get(answer.headers["location"]).text
        wait_until(lambda: "is being taken back" in browser.get(ROLLOUT).text)
    with site.client("vera") as client:
        entry = next(entry for entry in client.list_entries("native") if entry.HasField("rollback_started"))
    assert (entry.actor, entry.actor_verified, entry.reason) == ("olga", True, "the login page is slow")


def test_the_same_form_twice_is_done_once(site: Site) -> None:
    site.create("native")
    with site.browser("olga") as browser:
        form = {**hidden(browser.get(f"{ROLLOUT}/report-incident").text), "incident_id": "INC-1", "description": "slow"}
        assert [browser.post(f"{ROLLOUT}/report-incident", data=form).status_code for _ in range(2)] == [303, 303]
    with site.client("vera") as client:
        assert sum(entry.HasField("incident_reported") for entry in client.list_entries("native")) == 1


def test_who_signs_for_a_role_sees_that_button_only(site: Site) -> None:
    site.create("native", sign=False)
    site.tick("native", 1)
    with site.browser("edda") as browser:
        # What is awaited stands at the top, too.
        found = list(dict.fromkeys(wait_until(lambda: buttons(browser.get(ROLLOUT).text))))
        assert [path.partition("?")[0].rpartition("/")[2] for path in found] == ["approve", "deny"]
        assert all("role=engineering" in path for path in found)
        assert press(browser, found[0], reason="fine").status_code == 303
        page = wait_until(lambda: "Approve canary" not in (page := browser.get(ROLLOUT).text) and page)
        assert "edda" in page
        assert "missing, awaited" in page  # operations still are
        not_theirs = press(browser, f"{ROLLOUT}/approve?phase=canary&role=operations")
        assert not_theirs.status_code == 403
        assert "only for engineering" in not_theirs.text.replace("&#39;", "'")


def test_every_verb_reaches_the_journal(site: Site) -> None:
    site.create("native", sign=False, start=False)
    with site.browser("otto") as browser:
        presses = [
            ("start", {}), ("approve?phase=canary&role=operations", {}), ("revoke?phase=canary&role=operations", {}),
            ("pause", {}), ("resume", {}), ("report-incident", {"incident_id": "INC-1", "description": "slow"}),
            ("resolve-incident?incident_id=INC-1", {}),
            ("postpone", {"phase": "canary", "not_before": "2099-01-01T00:00"}),
            ("deny?phase=canary&role=operations", {}),
        ]  # fmt: skip
        for path, fields in presses:
            answer = press(browser, f"{ROLLOUT}/{path}", reason="because", **fields)
            assert answer.status_code == 303, (path, answer.text)
    with site.client("vera") as client:
        kinds = [entry.WhichOneof("payload") for entry in client.list_entries("native")]
    assert kinds == [
        "created", "started", "approved", "revoked", "paused", "resumed", "incident_reported", "incident_resolved",
        "postponed", "denied",
    ]  # fmt: skip


def test_what_the_server_refuses_is_said_beside_the_form(site: Site) -> None:
    site.create("native", start=False)
    with site.browser("olga") as browser:
        answer = press(browser, f"{ROLLOUT}/resume")
        assert answer.status_code == 409
        assert "a resume is not possible while the rollout is DRAFT" in answer.text
        assert 'action="/rollouts/native/resume"' in answer.text
        late = press(browser, f"{ROLLOUT}/postpone", reason="x", phase="canary", not_before="soon")
        assert late.status_code == 400
        assert "is no date and time" in late.text


def test_what_a_signer_saw_is_what_they_sign(site: Site) -> None:
    site.create("native")
    site.tick("native", 3, requests_per_second=20.0)
    with site.browser("edda") as browser:
        stale = press(browser, f"{ROLLOUT}/approve?phase=canary&role=engineering&evidence_digest=0123")
        assert stale.status_code == 409
        assert "not those that you saw" in stale.text


@pytest.mark.parametrize("spoil", ["missing", "wrong", "of another session", "empty"])
def test_a_form_without_the_sessions_own_token_does_nothing(site: Site, spoil: str) -> None:
    site.create("native")
    with site.browser("olga") as browser, site.browser("olga") as other:
        form = {**hidden(browser.get(f"{ROLLOUT}/abort").text), "reason": "x"}
        if spoil == "missing":
            del form["form_token"]
        else:
            others = hidden(other.get(f"{ROLLOUT}/abort").text)["form_token"]
            form["form_token"] = {"wrong": "x" * 43, "empty": "", "of another session": others}[spoil]
        answer = browser.post(f"{ROLLOUT}/abort", data=form)
        assert answer.status_code == 403
        assert "not from your session" in answer.text
        assert browser.post("/logout", data=form).status_code == 403
    with site.client("vera") as client:
        assert client.get_rollout("native").last_sequence == 4


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_forms_of_other_sites_are_refused_whatever_they_bring(site: Site, headers: dict[str, str]) -> None:
    site.create("native")
    with site.browser("olga") as browser:
        form = {**hidden(browser.get(f"{ROLLOUT}/abort").text), "reason": "x"}
        assert browser.post(f"{ROLLOUT}/abort", data=form, headers=headers).status_code == 403
        assert (
            browser.post(f"{ROLLOUT}/abort", data=form, headers={"origin": site.dashboard.url[:-1]}).status_code == 303
        )


def test_strangers_are_asked_to_log_in_and_shown_nothing(site: Site) -> None:
    site.create("native")
    with site.browser() as browser:
        for path in ("/", ROLLOUT, f"{ROLLOUT}/abort", f"{ROLLOUT}/events", "/events", "/models"):
            answer = browser.get(path)
            assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/login"), path
        assert browser.post(f"{ROLLOUT}/abort", data={"reason": "x"}).status_code == 401
        assert browser.get("/login").status_code == browser.get("/healthz").status_code == 200


def test_a_token_that_nobody_has_opens_nothing(site: Site) -> None:
    with site.browser() as browser:
        for secret, words in (("covey_nobody", "wrong, revoked or expired"), ("ümlaut", "no token"), ("", "no token")):
            answer = log_in(browser, secret)
            assert answer.status_code in {400, 401}
            assert words in answer.text
        assert "none of the roles" in log_in(browser, site.tokens["inga"]).text
        form = hidden(browser.get("/login").text) | {"form_token": "x"}
        assert browser.post("/login", data={**form, "token": site.tokens["vera"]}).status_code == 403
        assert not [name for name in browser.cookies if not name.endswith("-form")]


def test_the_cookie_is_for_this_site_and_not_for_scripts(site: Site) -> None:
    with site.browser() as browser:
        answer = log_in(browser, site.tokens["vera"])
        cookies = [value.lower() for value in answer.headers.get_list("set-cookie")]
        assert cookies
        assert all("httponly" in cookie and "samesite=strict" in cookie for cookie in cookies)
        assert not any(site.tokens["vera"] in value for value in answer.headers.get_list("set-cookie"))


@pytest.mark.parametrize(
    "following", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_logging_in_leads_nowhere_else(site: Site, following: str) -> None:
    with site.browser() as browser:
        assert log_in(browser, site.tokens["vera"], following).headers["location"] == "/"
        assert log_in(browser, site.tokens["vera"], ROLLOUT).headers["location"] == ROLLOUT


def test_logging_out_ends_the_session(site: Site) -> None:
    with site.browser("vera") as browser:
        cookies = dict(browser.cookies)
        assert browser.post("/logout", data=hidden(browser.get("/").text)).status_code == 303
        assert httpx.get(site.dashboard.url, cookies=cookies).status_code == 303


def test_a_link_from_elsewhere_finds_the_session(site: Site) -> None:
    """Browsers keep the strict cookie back on the way from an alert; the page asks them to come again from here."""
    crossing = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    answer = httpx.get(site.dashboard.url, headers=crossing)
    assert (answer.status_code, answer.headers["refresh"], answer.text) == (200, "0", "")


def test_a_revoked_token_ends_its_session(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("covey_dashboard.sessions.CHECK_SECONDS", 0.0)
    with site.browser("vera") as browser:
        assert browser.get("/").status_code == 200
        site.revoke("vera")
        wait_until(lambda: browser.get("/").status_code == 303)


def test_the_page_says_that_the_server_is_away_and_keeps_its_last_state(site: Site) -> None:
    site.create("native")
    site.tick("native", 3, requests_per_second=20.0)
    with site.browser("olga") as browser:
        assert "10 % of learners get native" in browser.get(ROLLOUT).text
        site.stop_server()
        page = wait_until(lambda: "The server does not answer" in (page := browser.get(ROLLOUT).text) and page)
        assert "10 % of learners get native" in page
        assert "What you see is what it said last" in page
        answer = press(browser, f"{ROLLOUT}/abort", reason="x")
        assert answer.status_code == 503
        assert "no covey server answers" in answer.text
        assert browser.get("/rollouts/other").status_code == 503
        assert "not reached" in browser.get("/healthz").text
        site.start_server()
        wait_until(lambda: "The server does not answer" not in browser.get(ROLLOUT).text)
        assert press(browser, f"{ROLLOUT}/abort", reason="x").status_code == 303


def test_what_is_not_there_is_said(site: Site) -> None:
    with site.browser("vera") as browser:
        assert browser.get("/rollouts/nothing").status_code == 404
        assert browser.get("/rollouts/..%2fetc").status_code == 404
        assert browser.get("/rollouts/Nothing/abort").status_code in {403, 404}
        assert browser.get("/rollouts/nothing/dance").status_code == 404
        assert browser.get("/models/nothing").status_code == 404
        assert browser.get("/static/..%2fconfig.py").status_code == 404
        assert browser.get("/elsewhere").status_code == 404
        site.create("nothing", start=False)
        wait_until(lambda: browser.get("/rollouts/nothing").status_code == 200)


def test_browsers_are_told_to_run_nothing_but_the_own_script(site: Site) -> None:
    site.create("native")
    site.tick("native", 2, requests_per_second=20.0)
    with site.browser("olga") as browser:
        for path in ("/", ROLLOUT, f"{ROLLOUT}/abort", "/login", "/static/dashboard.js", "/nothing"):
            answer = browser.get(path)
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            text = answer.text
            if "html" in answer.headers["content-type"]:
                assert " style=" not in text
                assert "<style" not in text
                assert " onclick" not in text
                assert text.count("<script") == text.count('<script type="module" src="/static/dashboard.js"')


def test_texts_of_others_are_shown_and_never_run(site: Site) -> None:
    site.create("native", start=False)
    evil = "<img src=x onerror=alert(1)>"
    with site.client("olga") as client:
        client.report_incident("native", "INC-1", evil, request_id="1")
        client.start_rollout("native", reason=f"\x1b[31m{evil}")
    with site.browser("olga") as browser:
        page = wait_until(lambda: "INC-1" in (page := browser.get(ROLLOUT).text) and page)
        assert "&lt;img src=x" in page
        assert "<img" not in page
        assert "\x1b" not in page
        confirm = browser.get(f"{ROLLOUT}/resolve-incident", params={"incident_id": f'"{evil}'}).text
        assert "<img" not in confirm


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[", "localhost.:1"])
def test_another_hosts_name_is_refused(site: Site, host: str) -> None:
    """DNS rebinding: the browser believes that this address is another site's."""
    assert httpx.get(site.dashboard.url, headers={"host": host}).status_code in {400, 421}


def test_forms_are_bounded(site: Site) -> None:
    site.create("native", start=False)
    with site.browser("olga") as browser:
        form = hidden(browser.get(f"{ROLLOUT}/abort").text)
        assert "longer than" in browser.post(f"{ROLLOUT}/abort", data={**form, "reason": "x" * 20_000}).text
        many = "&".join(f"field{number}=x" for number in range(100))
        kind = {"content-type": "application/x-www-form-urlencoded"}
        assert browser.post(f"{ROLLOUT}/abort", content=many, headers=kind).status_code == 400
        assert browser.post(f"{ROLLOUT}/abort", json=form).status_code == 400


def test_an_open_server_asks_for_a_name(open_site: Site) -> None:
    open_site.create("native", start=False)
    with open_site.browser("ada") as browser:
        assert "by your own word" in browser.get("/").text
        assert press(browser, f"{ROLLOUT}/start").status_code == 303
    with open_site.client("vera") as client:
        entry = list(client.list_entries("native"))[-1]
        assert (entry.actor, entry.actor_verified) == ("ada", False)


def test_no_token_is_ever_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    site.create("native", start=False)
    with site.browser("olga") as browser:
        press(browser, f"{ROLLOUT}/start")
        site.stop_server()
        press(browser, f"{ROLLOUT}/pause")
        log_in(browser, site.tokens["vera"])
        cookies = list(browser.cookies.values())
    # The test's own browser tells what it sends.
    records = [record for record in caplog.records if not record.name.startswith("http")]
    said = "\n".join(f"{record.getMessage()} {vars(record)}" for record in records)
    assert "start" in said
    for secret in [*site.tokens.values(), *cookies]:
        assert secret not in said
    assert site.tokens["olga"] not in repr(site.dashboard.desk.sessions)


def test_cohort_models_have_a_page(site: Site) -> None:
    with site.browser("vera") as browser:
        assert "There is none" in browser.get("/models").text
