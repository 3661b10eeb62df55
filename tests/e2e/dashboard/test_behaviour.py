"""What the page does when somebody, or the network, does something to it."""

import re
import signal
import socket

import pytest

from tests.e2e.dashboard.conftest import Traffic, assorted, observed, shot
from tests.support.browser import until

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(90)]


def received(page):
    """What the page says that it got: received, missed."""
    if "panel=trust" not in page.url:
        page.locator("#trust").click()
    said = page.locator(".account tr", has_text="This page").inner_text()
    numbers = [
        int(one.replace("\u202f", "")) for one in re.findall(r"([\d\u202f]+) (?:exchanges received|missed)", said)
    ]
    return tuple(numbers)


def state(page, word):
    until(page, f"document.querySelector('#state').textContent.includes('{word}')")


def targets(page):
    return [one for one in page.locator(".canvas .row .c-target").all_inner_texts() if one]


def test_a_filter_narrows_everything_and_stands_in_the_address(page):
    page.keyboard.press("/")
    page.keyboard.type("status>=500 service=orders")
    page.keyboard.press("Enter")
    until(
        page,
        "[...document.querySelectorAll('.canvas .row')].length >= 2 && [...document.querySelectorAll('.canvas .row .c-status')].every((e) => /^5/.test(e.textContent))",
    )
    assert set(page.locator(".canvas .row .c-service").all_inner_texts()) == {"orders"}
    assert "filter=status%3E%3D500+service%3Dorders" in page.url


def test_a_bad_filter_is_marked_where_it_is_wrong(page):
    page.locator("#filter").fill("service=shop stats>=500")
    page.wait_for_selector(".fault mark")
    assert page.locator(".fault mark").inner_text() == "stats"
    assert "did you mean status?" in page.locator(".fault").inner_text()
    assert page.locator("#filter").get_attribute("aria-invalid") == "true"
    assert "filter=" not in page.url
    shot(page, "bad-filter")


def test_what_only_the_collector_finds_wrong_is_told_too(opened, service):
    page = opened(f"{service.url}/#filter=stats%3E%3D500", wait=False, tolerates=("400", "WebSocket"))
    page.wait_for_selector(".fault mark")
    assert page.locator("#filter").input_value() == "stats>=500"


def test_the_page_and_the_collector_agree_on_the_grammar(page, service):
    words = [
        "status>=500",
        "status",
        "latency>1x",
        'target="a b"',
        "role=sever",
        "status>1,2",
        "service>1",
        'a="',
        "outcome=null",
        "pid=-1",
        "route=,x",
        "latency<=1.5s",
        "kind=exchange",
    ]
    for text in words:
        ours = page.evaluate("(text) => import('/static/filter.js').then((m) => m.faultOf(text))", text)
        theirs = (
            page.evaluate(
                "(text) => fetch('/v1/exchanges?limit=1&filter=' + encodeURIComponent(text)).then((r) => r.status)",
                text,
            )
            if ours is None
            else 400
        )
        assert (
            theirs == service.get(f"/v1/exchanges?limit=1&filter={__import__('urllib.parse').parse.quote(text)}")[0]
        ), text


def test_pause_stands_still_and_resume_leaves_no_gap(page, traffic):
    state(page, "Live")
    page.locator("h1").click()
    page.keyboard.press("Space")
    state(page, "Paused")
    before = targets(page)
    got, missed = received(page)
    page.keyboard.press("Escape")
    traffic.order("/while/paused", count=40)
    until(page, "/([4-9]\\d|\\d{3,}) newer exchanges wait/.test(document.querySelector('.banner.paused').textContent)")
    assert targets(page) == before
    assert "at=" in page.url
    page.keyboard.press("Space")
    state(page, "Live")
    until(page, "[...document.querySelectorAll('.canvas .row')].some((r) => r.textContent.includes('/while/paused'))")
    page.wait_for_timeout(500)
    assert received(page) == (got + 80, missed)


def test_a_link_holds_filter_time_and_pause(page, opened, service, traffic):
    page.goto(f"{service.url}/#filter=service%3Dshop")
    page.wait_for_selector(".canvas .row")
    page.locator("button", has_text="Pause").click()
    until(page, "location.hash.includes('at=')")
    then, link = targets(page), page.url
    traffic.order("/after/the/link", count=3)
    other = opened(link)
    state(other, "Paused")
    until(other, f"document.querySelectorAll('.canvas .row').length >= {min(10, len(then))}")
    assert "This is the moment of the link" in other.locator(".banner.paused").inner_text()
    assert targets(other)[: len(then)] == then
    assert "/after/the/link" not in targets(other)
    assert other.locator("#filter").input_value() == "service=shop"


def test_a_link_to_an_exchange_opens_it(page, opened):
    page.keyboard.press("2")
    page.locator(".canvas .row", has_text="/reports/daily").first.click()
    page.wait_for_selector("#verdict")
    verdict = page.locator("#verdict").inner_text()
    other = opened(page.url)
    other.wait_for_selector("#verdict")
    assert other.locator("#verdict").inner_text() == verdict
    other.keyboard.press("Escape")
    other.wait_for_selector(".detail", state="detached")


def test_everything_by_keys(page):
    page.locator("h1").click()
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    assert "How to read this page" in page.locator("dialog").inner_text()
    shot(page, "help")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    active = page.locator("#exchanges").get_attribute("aria-activedescendant")
    assert page.locator(f"#{active}").count() == 1
    page.keyboard.press("Enter")
    page.wait_for_selector("#verdict")
    page.keyboard.press("Escape")
    page.wait_for_selector(".detail", state="detached")
    assert page.evaluate("document.activeElement.id") == "exchanges"
    page.keyboard.press("2")
    assert "order=slowest" in page.url
    page.keyboard.press("3")
    until(page, "[...document.querySelectorAll('.canvas .row')].every((r) => r.classList.contains('error'))")
    page.keyboard.press("1")
    assert "order" not in page.url
    page.keyboard.press("w")
    page.wait_for_selector("html.wall")
    page.keyboard.press("w")


def test_themes(page):
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    system = page.evaluate(ground)
    page.locator("h1").click()
    page.keyboard.press("t")
    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    assert page.evaluate(ground) != system
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "light"


def test_the_filter_as_a_command(page):
    page.locator("#filter").fill("status>=500 service=shop target=/a*")
    page.keyboard.press("Enter")
    until(page, "location.hash.includes('filter')")
    page.get_by_role("button", name="Copy as command").click()
    assert (
        page.locator(".copyline code").first.inner_text()
        == "sudo collector watch 'status>=500' service=shop 'target=/a*'"
    )
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator(".copyline button").nth(1).click()
    until(page, "document.querySelector('.menu .popover [role=status]').textContent === 'copied'")
    assert page.evaluate("navigator.clipboard.readText()").startswith("curl -s 'http://127.0.0.1:")


def test_times_are_local_and_utc_when_pointed_at(page):
    cell = page.locator(".canvas .row .c-time").first
    local, utc = cell.inner_text(), cell.get_attribute("title")
    hours = (int(local[:2]) - int(utc[11:13])) % 24
    assert hours in (1, 2)  # Berlin
    assert utc.endswith("(UTC)")


def test_exchanges_without_a_trace_id_are_shown_too(page, traffic):
    state(page, "Live")
    traffic.order("/untraced", headers={"traceparent": None})
    until(page, "[...document.querySelectorAll('.canvas .row')].some((r) => r.textContent.includes('/untraced'))")


def test_where_websockets_are_blocked_the_page_polls_and_says_so(opened, service, traffic):
    page = opened(
        service.url,
        script="window.WebSocket = class { constructor() { setTimeout(() => this.onclose?.({}), 5); } close() {} };",
    )
    state(page, "Polling")
    assert "WebSocket does not get through" in page.locator(".banners").inner_text()
    traffic.order("/polled")
    until(page, "[...document.querySelectorAll('.canvas .row')].some((r) => r.textContent.includes('/polled'))")
    shot(page, "polling")


def test_a_browser_without_websockets_polls(opened, service):
    page = opened(service.url, script="delete window.WebSocket;")
    state(page, "Polling")
    assert "no WebSocket" in page.locator(".banners").inner_text()


def test_an_api_problem_is_shown_with_title_and_request_id(opened, service):
    old = "0123456789abcdef.99.1700000000000"
    page = opened(f"{service.url}/#at={old}", wait=False, tolerates=("404", "400"))
    page.wait_for_selector(".banner.problem")
    said = page.locator(".banner.problem").inner_text()
    assert re.search(r"request [0-9a-f]{32}", said), said
    page.locator(".banner.problem button").click()
    page.wait_for_selector(".banner.problem", state="detached")


LATE_REFUSAL = """
    const asked = fetch, let_go = new Promise((done) => { window.letGo = done; });
    window.fetch = async (path, more) => {
        const answer = await asked(path, more);
        if (answer.status === 401 && String(path).startsWith("/v1/losses")) { window.held = true; await let_go; }
        return answer;
    };
"""
ENDED = ("ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET")  # the collector ends before the page


def test_where_a_token_is_needed_the_page_asks_for_it_and_the_feed_takes_it(opened, tmp_path):
    own, secret = Traffic(), "a-secret-of-this-test-0123456789abcdef"
    (tmp_path / "token").write_text(secret)
    (tmp_path / "token").chmod(0o600)
    try:
        with observed(own, "--token-file", tmp_path / "token") as service:
            page = opened(service.url, wait=False, script=LATE_REFUSAL, tolerates=("401", "WebSocket", *ENDED))
            page.wait_for_selector("#token")
            page.locator("#token").fill("not-the-secret-0123456789abcdef")
            page.keyboard.press("Enter")
            page.wait_for_selector(".lock .refused")
            assert "refused" in page.locator(".lock .refused").inner_text()
            until(page, "window.held")
            page.locator("#token").fill(secret)
            page.keyboard.press("Enter")
            page.evaluate("letGo()")  # what was asked without the token is refused only now: the page stays open
            state(page, "Live")
            own.order("/behind/the/token")
            until(page, "[...document.querySelectorAll('.canvas .row')].some((r) => r.textContent.includes('/behind'))")
            assert secret not in page.url
    finally:
        own.end()


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_the_page_comes_back_after_the_collector_was_restarted(opened):
    own, port = Traffic(), free_port()
    try:
        with observed(own, listen=f"127.0.0.1:{port}") as first:
            assorted(own)
            page = opened(
                first.url,
                tolerates=(
                    "ERR_CONNECTION_REFUSED",
                    "WebSocket",
                    "ERR_EMPTY_RESPONSE",
                    "ERR_CONNECTION_RESET",
                    "status of 503",  # of /health/ready, until the second collector's canary passed
                ),
            )
            state(page, "Live")
            first.stop(signal.SIGTERM)
            state(page, "Stale")
            page.wait_for_selector(".banner.stale")
            assert "Trying again" in page.locator(".banner.stale").inner_text()
            shot(page, "stale")
        with observed(own, listen=f"127.0.0.1:{port}"):
            own.order("/after/the/restart", count=5)
            state(page, "Live")
            until(
                page,
                "[...document.querySelectorAll('.canvas .row')].some((r) => r.textContent.includes('/after/the/restart'))",
            )
            assert page.locator(".banner.stale").count() == 0
            assert "collector was restarted" in page.locator(".banners").inner_text()
    finally:
        own.end()
