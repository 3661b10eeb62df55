"""The page's weight, how soon it shows something, and how it bears a flood: in Chromium, on a running collector (root)."""

import statistics
from functools import partial

from tests.bench.dashboard import flood
from tests.bench.dashboard.load import traffic
from tests.support.browser import chromium
from tests.support.figures import measured, write
from tests.support.serving import Service

COMMAND = "PYTHONPATH=. .venv/bin/python tests/bench/dashboard/bench_dashboard.py"
figure = partial(measured, COMMAND)
OPENINGS = 15
FLOOD_EVENTS = 5_000
FLOOD_SECONDS = 60
WEIGHT_KB = 150
PAINT_MS = 500


def opened(browser, url):
    """Open the page with an empty cache; return (compressed bytes, ms to the first paint, ms to the first exchanges)."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    sizes, paths = {}, {}
    session.on("Network.responseReceived", lambda told: paths.update({told["requestId"]: told["response"]["url"]}))
    session.on("Network.loadingFinished", lambda told: sizes.update({told["requestId"]: told["encodedDataLength"]}))
    page.goto(f"{url}/health/live")  # the browser is up and has a process for this host; nothing of the page is cached
    page.wait_for_timeout(300)
    page.goto(url)
    page.wait_for_selector(".chart canvas")
    page.wait_for_timeout(2000)  # what is fetched once the page is at rest
    paints = page.evaluate(
        "Object.fromEntries([...performance.getEntriesByType('paint'), ...performance.getEntriesByType('mark')]"
        ".map((one) => [one.name, one.startTime]))"
    )
    context.close()
    weight = sum(
        size for key, size in sizes.items() if "/static/" in paths.get(key, "") or paths.get(key, "").endswith("/")
    )
    return weight, paints["first-contentful-paint"], paints["netscope-meaningful"]


def main():
    figures = []
    with Service(*flood.OPTIONS, env={"NETSCOPE_AUDIT": "off"}) as service, chromium() as browser:
        with traffic(50, 2) as load:
            load.wait()
        service.until("/v1/losses", lambda losses: losses["feed"]["traced"] >= 100)
        runs = [opened(browser, service.url) for _ in range(OPENINGS)]
        weight = max(run[0] for run in runs) / 1000
        meaningful = statistics.median(run[2] for run in runs)
        figures += [
            figure("weight of the page, compressed", weight, "kB", f"<= {WEIGHT_KB}", met=weight <= WEIGHT_KB,
                   method="everything from / and /static/ as transferred, headers included, with an empty cache"),
            figure("first contentful paint", statistics.median(run[1] for run in runs), "ms", None, met=None,
                   method=f"median of {OPENINGS} openings on loopback in a running browser, empty cache"),
            figure("first exchanges on the screen", meaningful, "ms", f"<= {PAINT_MS}", met=meaningful <= PAINT_MS,
                   method=f"median of {OPENINGS} openings on loopback in a running browser, empty cache: from navigation to rows in the list"),
        ]  # fmt: skip
        found = flood.flooded(browser, service, rate=FLOOD_EVENTS, seconds=FLOOD_SECONDS)
    method = f"{FLOOD_EVENTS} events/s for {FLOOD_SECONDS} s, headless, software rendering, collector, load and browser on the same cores"
    right = found["received"] + found["missed"] == found["traced"]
    figures += [
        figure("flood: events", found["sent"], "events", None, met=None, method=f"{method}; {found['rate']:.0f}/s reached"),
        figure("flood: received + told as missed - fed by the collector", found["received"] + found["missed"] - found["traced"],
               "events", "0", met=right, method=f"{method}; fed {found['traced']}, told as missed {found['missed']}, lost before {found['sent'] - found['traced']}"),
        figure("flood: longest task", found["longest_task_ms"], "ms", "< 100", met=found["longest_task_ms"] < 100,
               method=f"{method}; {found['long_tasks']} tasks over 50 ms, {found['tasks_over_100']} over 100 ms"),
        figure("flood: frame rate", found["frames_per_second"], "frames/s", ">= 30", met=found["frames_per_second"] >= 30,
               method=f"{method}; the longest gap was {found['worst_gap_ms']:.0f} ms"),
        figure("flood: live heap at the end", found["heap_mb"][-1], "MB", "<= 150", met=found["heap_mb"][-1] <= 150,
               method=f"{method}; after a third, two thirds, all: {found['heap_mb']} MB"),
        figure("flood: elements of the document", found["nodes"], "elements", "<= 2500", met=found["nodes"] <= 2500, method=method),
    ]  # fmt: skip
    write("dashboard", figures)


if __name__ == "__main__":
    main()
