"""`pipeline demo`: broker, API, worker and load at once, as separate processes on loopback."""

import asyncio
import contextlib
import itertools
import json
import sys
from typing import Any, Final

import click
import httpx2
import msgspec

from pipeline.commands import running
from pipeline.commands.demo_part import Part, part, stand_still, watch

_HELP: Final = """\b
Examples:
  pipeline demo
  pipeline demo --duration 30 --rate 20
  pipeline demo --slow-event-loop 200         the worker stands still for 200 ms every 2 s
  pipeline demo --slow-client                 and a client whose event loop is blocked now and then

  pipeline demo --hold                        all but the load, which begins with a line on standard input

Run the whole pipeline on loopback, until Ctrl-C or for a while, and say what runs where.

The broker is embedded, so neither Java nor a network is needed. The API answers most calls in 20 ms, is slow on
/reports, and on /payments now and then says 503 with Retry-After or resets the connection. At the end the load stops
first, the worker finishes what it has, and both sides say what they counted.
"""
_SETTLE_WITHIN_S: Final = 15.0
_SCRIPT: Final = {
    "seed": 7,
    "routes": {
        "reports": {"latency": {"median_ms": 400, "sigma": 0.3}},
        "payments": {
            "latency": {"median_ms": 20, "sigma": 0.4},
            "faults": [
                {"kind": "status", "share": 0.15, "status": 503, "retry_after_s": 1},
                {"kind": "reset", "share": 0.05, "after_effect": True},
            ],
        },
        "*": {
            "latency": {"median_ms": 20, "sigma": 0.4},
            "faults": [{"kind": "status", "share": 0.03, "status": 500, "after_effect": True}],
        },
    },
}


@click.command("demo", help=_HELP, context_settings={"auto_envvar_prefix": "PIPELINE_DEMO"})
@click.option("--duration", default=0.0, show_default=True, type=click.FloatRange(0), help="Seconds; 0: until Ctrl-C.")
@click.option("--rate", default=20.0, show_default=True, type=click.FloatRange(0.1), help="Records per second.")
@click.option("--poison", default=0.01, show_default=True, type=click.FloatRange(0, 1), help="Share of poison.")
@click.option("--slow-event-loop", default=0.0, metavar="MS", help="Stop the worker for so long every 2 s.")
@click.option("--slow-client", is_flag=True, help="Also run a client whose event loop is blocked now and then.")
@click.option("--hold", is_flag=True, help="Begin the load once a line comes on standard input.")
@click.option("--json", "as_json", is_flag=True, help="Say what runs where as one line of JSON.")
def command(  # noqa: PLR0913 - one for each option
    *,
    duration: float,
    rate: float,
    poison: float,
    slow_event_loop: float,
    slow_client: bool,
    hold: bool,
    as_json: bool,
) -> None:
    """Run everything until asked to end."""
    running.run(
        _demo(
            _Plan(
                duration=duration,
                rate=rate,
                poison=poison,
                stop_s=slow_event_loop / 1000,
                slow_client=slow_client,
                hold=hold,
                as_json=as_json,
            )
        )
    )


class _Plan(msgspec.Struct, frozen=True, kw_only=True):
    duration: float
    rate: float
    poison: float
    stop_s: float
    slow_client: bool
    hold: bool
    as_json: bool


class _Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What both sides counted on their own; equal where nothing else calls the API."""

    records: dict[str, int]
    attempts: int
    retries: int
    arrivals: int
    effects: int
    doubled: int


async def _demo(plan: _Plan) -> None:
    asked = asyncio.Event()
    running.on_signals(asked.set)
    async with contextlib.AsyncExitStack() as stack:
        broker = await stack.enter_async_context(part("broker", "broker", *_topic_words()))
        api_words = ("--port", "0", "--control-port", "0", "--script", json.dumps(_SCRIPT))
        api = await stack.enter_async_context(part("external-api", "external-api", *api_words))
        servers = (await broker.first_line())["bootstrap_servers"]
        where = await api.first_line()
        worker = await stack.enter_async_context(part("worker", *_worker_words(servers, where["url"])))
        parts = [broker, api, worker]
        if plan.slow_client:
            words = ("slow-client", "--url", where["url"])
            parts.append(await stack.enter_async_context(part("slow-client", *words)))
        places = {"broker": servers, "external-api": where["url"], "ledger": where["control_url"] + "/ledger"}
        places["worker"] = (await worker.first_line())["metrics_url"]
        _tell(parts, places, as_json=plan.as_json)
        if plan.hold and not await _line_before(asked):
            return
        load = await stack.enter_async_context(part("load", *_load_words(plan, servers)))
        await _until_over(plan, [*parts, load], worker, asked)
        produced = json.loads(await load.end() or b"{}").get("acknowledged", 0)
        _tell_counts(await _counts(places, produced), as_json=plan.as_json)


async def _line_before(asked: asyncio.Event) -> bool:
    """Wait for a line on standard input; False where we are asked to end before one comes."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    line, end = loop.create_task(reader.readline()), loop.create_task(asked.wait())
    done, waiting = await asyncio.wait((line, end), return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    return line in done and line.result() != b""


async def _counts(places: dict[str, str], produced: int) -> _Counts:
    """Return what both sides counted, once the worker has dealt with all that was produced, or the time is up."""
    state: dict[str, Any] = {}
    async with httpx2.AsyncClient(trust_env=False, timeout=5.0) as client:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_WITHIN_S):
                while not _settled(state := await _get(client, places["worker"] + "/resilience"), produced):  # noqa: ASYNC110 - another process's
                    await asyncio.sleep(0.1)
        books = await _get(client, places["ledger"])
    return _Counts(
        records=state["records"],
        attempts=state["attempts_total"],
        retries=books["arrivals"] - books["keys"],
        arrivals=books["arrivals"],
        effects=books["effects"],
        doubled=books["doubled"],
    )


async def _get(client: httpx2.AsyncClient, url: str) -> dict[str, Any]:
    return dict((await client.get(url)).json())


def _settled(state: dict[str, Any], produced: int) -> bool:
    records = state["records"]
    ended = records["succeeded"] + records["dead_lettered"] + records["parked"]
    return bool(ended >= produced and state["waiting"] == state["in_flight"] == 0)


def _load_words(plan: _Plan, servers: str) -> tuple[str, ...]:
    numbers = ("--rate", str(plan.rate), "--duration", "0", "--poison", str(plan.poison))
    routes = ("--route", "/orders", "--route", "/payments", "--route", "/reports")
    return ("load", "--bootstrap-servers", servers, *numbers, *routes)


def _topic_words() -> tuple[str, ...]:
    return tuple(itertools.chain(*(("--topic", name) for name in ("ingress", "ingress.dead-letter", "ingress.parked"))))


def _worker_words(servers: str, url: str) -> tuple[str, ...]:
    return (
        "worker",
        "--kafka-bootstrap-servers",
        servers,
        "--kafka-topic",
        "ingress",
        "--api-url",
        url,
        "--worker-metrics-port",
        "0",
        "--worker-log-level",
        "error",
        "--worker-ready-line",
    )


def _tell(parts: list[Part], places: dict[str, str], *, as_json: bool) -> None:
    pids = {one.name: one.process.pid for one in parts}
    if as_json:
        running.say(pids=pids, places=places)
        return
    lines = [f"{name:<13} pid {pid:<8} {places.get(name, '')}" for name, pid in pids.items()]
    lines.append(f"{'ledger':<26} {places['ledger']}")
    sys.stdout.write("\n".join(lines) + "\nCtrl-C ends it.\n")
    sys.stdout.flush()


def _tell_counts(counts: _Counts, *, as_json: bool) -> None:
    if as_json:
        running.say(**msgspec.structs.asdict(counts))
        return
    sys.stdout.write(
        f"the worker counts {counts.attempts} calls, the API {counts.arrivals} requests: {counts.retries} retries,"
        f" {counts.effects} effects, {counts.doubled} doubled\n"
    )
    sys.stdout.flush()


async def _until_over(plan: _Plan, parts: list[Part], worker: Part, asked: asyncio.Event) -> None:
    """Wait for the end, standing the worker still now and then where that is wanted. Raises SimulatorFailed."""
    try:
        async with asyncio.timeout(plan.duration or None), asyncio.TaskGroup() as group:
            tasks = [group.create_task(watch(one)) for one in parts]
            if plan.stop_s > 0:
                tasks.append(group.create_task(stand_still(worker, plan.stop_s)))
            await asked.wait()
            for task in tasks:
                task.cancel()
    except TimeoutError:
        pass
