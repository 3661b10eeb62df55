"""The page in real Chromium, on a running collector, on real traffic made to order."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.browser import chromium
from tests.support.serving import Service

HERE = Path(__file__).parent
SHOTS = HERE.parents[2] / ".cache/screenshots"
SERVICES = {"NETSCOPE_SERVICES": "*shop.py serve*=orders,*shop.py ask*=shop", "NETSCOPE_AUDIT": "off"}
PAGE_MS = 20_000


class Traffic:
    """A server and a client of their own process; nothing is sent until it is ordered."""

    def __init__(self):
        program = [sys.executable, str(HERE / "shop.py")]
        self.server = subprocess.Popen([*program, "serve"], stdout=subprocess.PIPE, text=True)
        self.port = int(self.server.stdout.readline())
        self.client = subprocess.Popen(
            [*program, "ask", str(self.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.sent = 0

    def order(self, target="/orders/7", **more):
        """Send; return once all of it was answered."""
        self.client.stdin.write(json.dumps({"target": target, **more}) + "\n")
        self.client.stdin.flush()
        assert self.client.stdout.readline() == "done\n"
        self.sent += more.get("count", 1)

    def pay(self, key):
        """Be refused, and come again under the same key and trace."""
        trace = os.urandom(16).hex()
        headers = {"traceparent": f"00-{trace}-{os.urandom(8).hex()}-01", "Idempotency-Key": key}
        self.order("/payments", method="POST", headers=headers, count=2, pause_s=0.05)
        return trace

    def end(self):
        for child in (self.client, self.server):
            child.terminate()
            child.wait(10)
            for pipe in (child.stdin, child.stdout):
                if pipe:
                    pipe.close()


def assorted(traffic):
    """A little of everything."""
    traffic.order(count=30)
    traffic.order("/nothing/13")
    traffic.order("/broken/1?token=secret")
    traffic.order("/reports/daily", count=2)
    traffic.order("/stock/4711", unread_s=0.2)
    traffic.order("/reset")
    return traffic.pay(os.urandom(6).hex())


@contextlib.contextmanager
def observed(traffic, *options, **more):
    with Service("--port", traffic.port, *options, env=SERVICES, **more) as service:
        yield service


@pytest.fixture(scope="module")
def traffic():
    found = Traffic()
    yield found
    found.end()


@pytest.fixture(scope="module")
def service(traffic):
    with observed(traffic) as found:
        found.trace = assorted(traffic)
        found.until("/v1/losses", lambda losses: sum(losses["exchanges"].values()) >= 2 * traffic.sent)
        yield found


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


class Faults(list):
    """What the browser complained of: nothing, or the test fails."""


@pytest.fixture
def opened(browser):
    """Open pages; afterwards none of them may have broken the policy, or thrown."""
    contexts, faults = [], Faults()
    expected = []

    def opening(url, *, width=1440, height=900, scheme="dark", wait=True, script="", tolerates=(), **more):
        expected.extend(tolerates)
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, timezone_id="Europe/Berlin", **more
        )
        contexts.append(context)
        context.set_default_timeout(PAGE_MS)
        context.add_init_script(
            "addEventListener('securitypolicyviolation', (e) => console.error('CSP', e.violatedDirective, e.blockedURI));"
            + script
        )
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(f"thrown: {error.stack or error}"))
        page.on("console", lambda said: said.type == "error" and faults.append(f"console: {said.text}"))
        page.goto(url)
        if wait:
            page.wait_for_selector("#exchanges .canvas .row")
        return page

    yield opening
    for context in contexts:
        context.close()
    left = [fault for fault in faults if not any(words in fault for words in expected)]
    assert not left, left


@pytest.fixture
def page(opened, service):
    return opened(service.url)


def shot(page, name):
    """Keep a screenshot for review."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png")
