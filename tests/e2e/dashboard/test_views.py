"""Every view of the page shows what the traffic did."""

import re

import pytest

from tests.e2e.dashboard.conftest import assorted, shot
from tests.support.browser import until

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(90)]


def text(page, selector):
    return page.locator(selector).first.inner_text()


def milliseconds(said):
    number, unit = said.split("\u202f")
    return float(number) * {"µs": 0.001, "ms": 1, "s": 1000}[unit]


def row(page, words):
    return page.locator(".canvas .row", has_text=words).first


@pytest.fixture
def fresh(page, service, traffic):
    """A page whose first rows are a little of everything."""
    assorted(traffic)
    trace = service.json("/v1/exchanges?route=/payments&limit=1")["items"][0]["trace_id"]
    until(
        page, f"[...document.querySelectorAll('.canvas .c-trace')].some((cell) => cell.textContent === '{trace[:8]}')"
    )
    return page


def test_headline_and_tail_say_what_was_asked(fresh):
    page = fresh
    until(page, "document.querySelectorAll('.canvas .row').length > 10")
    said = page.locator(".canvas .row").all_inner_texts()
    assert any("/reports/daily" in one and "200" in one for one in said)
    assert any("503" in one for one in said)
    assert "secret" not in " ".join(said)
    assert text(page, ".tiles .tile >> nth=0").startswith("requests")
    shot(page, "overview-dark")


def test_the_map_draws_the_flow_between_the_two_processes_once(page, service, traffic):
    traffic.order(count=5)
    page.wait_for_selector(".map .node")
    until(page, "document.querySelectorAll('.map .node').length >= 2")
    names = page.locator(".map .node").evaluate_all("all => all.map((one) => one.getAttribute('aria-label'))")
    assert sorted(name.split(",")[0] for name in names) == ["orders", "shop"]
    cells = page.locator(".map table tbody tr td").all_inner_texts()
    assert cells[:2] == ["shop", "orders"]
    assert page.locator(".map .edge").count() == 1
    page.locator(".map .node", has_text="shop").click()
    until(page, "document.querySelector('#filter').value === 'service=shop'")


def test_charts_draw_percentiles_and_rates(page):
    until(page, "document.querySelectorAll('.chart canvas').length === 2")
    label = page.locator("section[aria-labelledby=latency-title] .chart").get_attribute("aria-label")
    assert re.search(r"p50 .+s, p95 .+s, p99 .+s", label)
    drawn = page.locator(".chart canvas").evaluate_all(
        "all => all.map((c) => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v) => v))"
    )
    assert drawn == [True, True]


def test_a_part_of_the_heatmap_lists_its_exchanges(page, service, traffic):
    traffic.order("/reports/daily")
    until(page, "[...document.querySelectorAll('.canvas .row')].some((r) => r.textContent.includes('/reports'))")
    page.wait_for_timeout(2500)  # the second that is drawn last is the one before this one
    box = page.locator("#heatmap").bounding_box()
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] * 0.4, steps=4)
    page.mouse.up()
    page.wait_for_selector(".chip")
    low, high = map(float, re.search(r"brush=\d+-\d+%2C([\d.]+)-([\d.]+)", page.url).groups())
    took = [milliseconds(one) for one in page.locator(".canvas .row .c-took").all_inner_texts()]
    assert took
    assert all(low * 0.99 <= one <= high * 1.01 for one in took), (low, took, high)
    page.keyboard.press("Escape")
    page.wait_for_selector(".chip", state="detached")


def test_the_heatmap_is_read_and_marked_by_keys(page):
    page.locator("#heatmap").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    assert "exchanges" in text(page, "#heat-said")
    page.keyboard.press("Enter")
    page.wait_for_selector(".chip")


def test_resilience_shows_retries_pool_and_circuit_as_observed(page):
    page.wait_for_selector(".destination")
    said = text(page, ".destination")
    assert "shop → 127.0.0.1" in said
    assert re.search(r"observed\s+\d+ of \d+", said)
    assert "circuit" in said
    assert "own figures are not asked for" in said


def test_each_invariant_holds_or_says_why_it_is_not_measured(page):
    page.wait_for_selector(".invariant:enabled")
    assert page.locator(".invariant").count() == 5
    assert "not measured" in page.locator(".invariant", has_text="I5").inner_text()
    page.locator(".invariant", has_text="I3").click()
    assert "the kernel counted" in text(page, "#invariant-why")
    page.locator(".invariant", has_text="I5").click()
    assert "Not measured: what is visible outside the NAT" in text(page, "#invariant-why")


def test_the_trust_badge_opens_the_whole_account(page):
    until(page, "document.querySelector('#trust').textContent.includes('nothing lost')")
    page.locator("#trust").click()
    said = text(page, ".account")
    for words in ("Records from the kernel", "Coverage", "Overhead", "Drain lag", "nothing, at any stage", "This page"):
        assert words in said
    shot(page, "trust")


def test_the_slowest_request_and_its_cause_in_two_clicks(page):
    page.locator("button.tile", has_text="p99").click()
    until(page, "location.hash.includes('order=slowest')")
    page.locator(".canvas .row").first.click()
    page.wait_for_selector("#verdict")
    said = text(page, "#verdict")
    assert re.search(r"unread: the answer was there, but shop was busy|waiting for orders", said), said
    assert "0 retransmits" in said
    shot(page, "detail-dark")


def test_attempts_stand_under_one_another_each_with_its_other_end(fresh):
    page = fresh
    page.locator(".canvas .row.warning", has_text="201").first.click()
    page.wait_for_selector(".waterfall li >> nth=1")
    said = page.locator(".waterfall li").all_inner_texts()
    assert len(said) == 2
    assert "503" in said[0]
    assert "2. attempt" in said[1]
    assert all("the same at the other end" in one for one in said)
    assert "attempt 2, after 503" in text(page, "#verdict")


def test_parts_of_the_waterfall_fit_in_their_whole(fresh):
    page = fresh
    row(page, "/reports/daily").click()
    page.wait_for_selector(".track i.b-wait")
    inside = page.evaluate("""[...document.querySelectorAll('.track')].every((track) => {
        const whole = track.querySelector('.whole').getBoundingClientRect();
        return [...track.querySelectorAll('i:not(.whole):not(.b-connect)')].every((part) => {
            const box = part.getBoundingClientRect();
            return box.left >= whole.left - 3 && box.right <= whole.right + 3;
        });
    })""")
    assert inside


def test_a_trace_shows_all_of_its_exchanges(opened, service):
    page = opened(f"{service.url}/#trace={service.trace}")
    page.wait_for_selector(".detail .waterfall")
    assert service.trace in text(page, ".detail h2")
    assert "2 exchanges" in text(page, ".detail .verdict")
    assert page.locator(".waterfall li").count() == 2
    shot(page, "trace")


def test_every_field_is_listed_with_unknown_as_a_dash(fresh):
    page = fresh
    row(page, "/broken").click()
    page.locator(".detail summary").click()
    said = text(page, ".fields")
    assert "/broken/1?token=*" in said
    assert "secret" not in said
    assert re.search("request ID\\s+\N{EN DASH}", said)


def test_wall_and_small_screens_and_light(opened, service, traffic):
    assorted(traffic)
    wall = opened(f"{service.url}/#wall=1", width=1920, height=1080, wait=False)
    wall.wait_for_selector(".map .node")
    assert wall.evaluate("document.documentElement.scrollHeight <= innerHeight")
    assert float(wall.evaluate("parseFloat(getComputedStyle(document.querySelector('.tile .value')).fontSize)")) >= 60
    wall.wait_for_timeout(600)
    shot(wall, "wall")
    small = opened(service.url, width=360, height=740)
    assert small.evaluate("document.documentElement.scrollWidth") == 360
    assert small.evaluate(
        "[...document.querySelectorAll('button, select, input')].every((e) => !e.offsetParent || e.getBoundingClientRect().right <= 361)"
    )
    shot(small, "small")
    light = opened(service.url, scheme="light")
    light.wait_for_timeout(600)
    shot(light, "overview-light")
