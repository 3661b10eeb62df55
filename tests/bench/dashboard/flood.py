"""The page under a flood of exchanges: how it stays responsive, what it keeps, and whether its totals are right."""

import re

from tests.bench.dashboard.load import COMM, traffic
from tests.support.browser import until

WATCH = """
window.__tasks = [];
window.__gaps = [];
new PerformanceObserver((list) => { for (const one of list.getEntries()) window.__tasks.push(one.duration); }).observe({ type: 'longtask' });
(() => { let last = 0; const step = (now) => { if (last) window.__gaps.push(now - last); last = now; requestAnimationFrame(step); }; requestAnimationFrame(step); })();
"""
_NUMBER = r"([\d\u202f]+) {}"


def text(page):
    """What the page says of itself in its account."""
    return page.locator(".account tr", has_text="This page").inner_text()


def account(page):
    """What the page received and missed."""
    said = text(page)
    return tuple(
        int(re.search(_NUMBER.format(words), said)[1].replace("\u202f", ""))
        for words in ("exchanges received", "missed")
    )


def heap(session):
    """Bytes of live JavaScript objects."""
    session.send("HeapProfiler.collectGarbage")
    found = session.send("Performance.getMetrics")["metrics"]
    return next(one["value"] for one in found if one["name"] == "JSHeapUsedSize")


def settled(page, service):
    """Return the collector's account once neither it nor the page gets anything any more."""
    found, shown = service.json("/v1/losses"), account(page)
    while True:
        page.wait_for_timeout(4000)
        before, found = (found, shown), service.json("/v1/losses")
        shown = account(page)
        if (found["feed"]["traced"], shown) == (before[0]["feed"]["traced"], before[1]) and " 0 waiting" in text(page):
            return found


def flooded(browser, service, *, rate, seconds):
    """Open the page, let `rate` events a second come for so long; return what was measured."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.add_init_script(WATCH)
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Performance.enable")
    page.goto(f"{service.url}/#panel=trust")
    page.wait_for_selector(".account table")
    until(page, "document.querySelector('#state').textContent.includes('Live')")
    page.wait_for_timeout(1500)
    before, seq = account(page), service.json("/v1/losses")["feed"]["traced"]
    page.evaluate("window.__tasks.length = window.__gaps.length = 0")
    heaps = []
    with traffic(rate // 2, seconds) as load:
        for _ in range(3):
            page.wait_for_timeout(seconds * 1000 / 3 - 500)
            tasks, gaps = page.evaluate("[window.__tasks, window.__gaps]")
            heaps.append(heap(session))  # collecting garbage by hand is a long task of ours, not of the page
            page.evaluate("window.__tasks.length = window.__gaps.length = 0")
            if len(heaps) == 1:
                all_tasks, all_gaps = [], []
            all_tasks += tasks
            all_gaps += gaps
        load.wait()
        made, took = load.stdout.read().split()
    sent = 2 * int(made)
    found = settled(page, service)
    after = account(page)
    nodes = page.evaluate("document.querySelectorAll('*').length")
    context.close()
    return {
        "sent": sent, "rate": sent / float(took), "received": after[0] - before[0], "missed": after[1] - before[1],
        "traced": found["feed"]["traced"] - seq, "lost": found["total"], "longest_task_ms": max(all_tasks, default=0.0),
        "long_tasks": len(all_tasks), "tasks_over_100": sum(one > 100 for one in all_tasks),
        "frames_per_second": 1000 * len(all_gaps) / max(1.0, sum(all_gaps)), "worst_gap_ms": max(all_gaps, default=0.0),
        "heap_mb": [round(one / 1e6, 1) for one in heaps], "nodes": nodes,
    }  # fmt: skip


OPTIONS = ("--comm", COMM)
