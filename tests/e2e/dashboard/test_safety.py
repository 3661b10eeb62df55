"""What comes from the wire is text; the policy holds without exception; everybody can use the page."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.e2e.dashboard.conftest import Traffic, observed, shot
from tests.support.browser import until

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(90)]
NO_TRACE = {"traceparent": None}
ATTACK = "<img/src=x/onerror=window.__hit=1>"
SCRIPT = "<script>window.__hit=1</script>"
RULES = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
}


@pytest.fixture(scope="module")
def hostile():
    """A collector that saw hostile values only, so that every row shows one."""
    own = Traffic()
    try:
        with observed(own) as service:
            own.order(f"/{ATTACK}", headers={**NO_TRACE, "Host": SCRIPT, "x-trace-id": "<svg/onload=window.__hit=1>"})
            ids = {"x-request-id": ATTACK, "Idempotency-Key": SCRIPT}
            own.order(f"/a/{SCRIPT}?{ATTACK}=1", headers=ids, method="POST")
            own.order("/javascript:window.__hit=1", headers={"Host": "javascript:window.__hit=1"})
            own.order("/%22%3E%3Cscript%3E/\"'`${window.__hit=1}")
            service.until("/v1/losses", lambda losses: sum(losses["exchanges"].values()) >= 2 * own.sent)
            yield service
    finally:
        own.end()


def test_values_from_the_wire_are_text(opened, hostile):
    page = opened(hostile.url)
    until(page, "document.querySelectorAll('.canvas .row').length >= 8")
    said = page.locator("#exchanges").inner_text()
    assert ATTACK in said
    assert SCRIPT in said
    for at in range(page.locator(".canvas .row").count()):
        page.locator(".canvas .row").nth(at).click()
        page.wait_for_selector("#verdict")
        page.locator(".detail summary").click()
        trace = page.get_by_role("button", name="Whole trace")
        if trace.count():
            trace.click()
            page.wait_for_selector(".detail .waterfall")
        page.keyboard.press("Escape")
        page.wait_for_selector(".detail", state="detached")
    shot(page, "hostile")
    for node in page.locator(".map .node[role=button]").all():
        node.click()
    assert page.evaluate("window.__hit") is None
    assert page.evaluate("document.querySelectorAll('main img, main script, main b i').length") == 0
    assert page.evaluate("[...document.querySelectorAll('a')].every((a) => a.getAttribute('href').startsWith('#'))")


LINKS = (
    f"#filter={ATTACK}",
    f"#trace={ATTACK}",
    "#x=a.b",
    "#at=<b>.1.2",
    "#brush=9-1,a-b",
    "#order=__proto__&window=__proto__&panel=constructor",
)


def test_hostile_links_are_text(opened, hostile):
    page = opened(hostile.url, tolerates=("400", "404", "WebSocket"))
    for link in LINKS:
        page.evaluate(
            "(link) => { history.pushState(null, '', link); dispatchEvent(new PopStateEvent('popstate')); }", link
        )
        page.wait_for_timeout(250)
        assert page.evaluate("window.__hit") is None
        assert page.locator(".tiles").count() == 1, link
        assert page.locator(".topbar").count() == 1, link


def test_the_policy_has_no_exceptions(service):
    _, headers, body = service.get("/")
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert b"://" not in body  # nothing from elsewhere
    assert b"style=" not in body


VIEWS = ["", "order=slowest", "panel=trust", "panel=help", "detail", "bad filter", "wall=1"]


def bring_up(page, view):
    """Show one view on an open page."""
    place = view if "=" in view else ""
    page.evaluate(
        "(hash) => { history.replaceState(null, '', hash); dispatchEvent(new PopStateEvent('popstate')); }", f"#{place}"
    )
    if view == "detail":
        page.locator(".canvas .row").first.click()
        page.wait_for_selector("#verdict")
    if view == "bad filter":
        page.locator("#filter").fill("stats=1")
        page.wait_for_selector(".fault mark")
    page.wait_for_timeout(300)


@pytest.mark.timeout(300)  # many views, each with every rule
@pytest.mark.parametrize(
    ("scheme", "width", "views"),
    [("dark", 1440, VIEWS), ("light", 1440, ["", "detail"]), ("dark", 360, ["", "detail"])],
)
def test_axe_finds_nothing_serious(opened, service, traffic, scheme, width, views):  # noqa: PLR0917  # fixtures
    traffic.order(count=2)
    page = opened(service.url, scheme=scheme, width=width, height=800)
    page.wait_for_selector(".map .node")
    for view in views:
        bring_up(page, view)
        found = Axe().run(page, options=RULES).response["violations"]
        serious = [
            (one["id"], [(node["html"][:160], node["any"][:1]) for node in one["nodes"][:3]])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        assert not serious, (view, serious)
