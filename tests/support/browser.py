"""The distribution's Chromium, driven by Playwright, as tests and benchmarks of the page use it."""

import contextlib
import shutil

from playwright.sync_api import sync_playwright

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
OPTIONS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@contextlib.contextmanager
def chromium(*options):
    """One browser, for as long as the block runs."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*OPTIONS, *options])
        try:
            yield browser
        finally:
            browser.close()


def until(page, expression, seconds=20.0):
    """Wait until an expression holds; Playwright's own way needs `eval`, which the page's policy forbids.

    What the expression looks at may not be there yet.
    """
    waited = 0.0
    asked = f"() => {{ try {{ return Boolean({expression}); }} catch {{ return false; }} }}"
    while not page.evaluate(asked):
        assert waited < seconds, expression
        page.wait_for_timeout(40)
        waited += 0.04
