"""`pipeline slow-client`: a plain asyncio client whose event loop is blocked now and then."""

import asyncio
import random
import time
import uuid
from typing import Final

import click
import httpx2

from pipeline.commands import running

_HELP: Final = """\b
Examples:
  pipeline slow-client --url http://127.0.0.1:8080
  pipeline slow-client --url http://127.0.0.1:8080 --rate 20 --block-ms 200 --block-every 2 --duration 30

Call an API with trace IDs, retry with the same Idempotency-Key, and block the event loop now and then.

While it is blocked, answers wait in the socket: the API was fast, and the client slow to read.
"""
_ATTEMPTS: Final = 3
_AGAIN: Final = frozenset({429, 500, 502, 503, 504})


@click.command("slow-client", help=_HELP, context_settings={"auto_envvar_prefix": "PIPELINE_SLOW_CLIENT"})
@click.option("--url", required=True, help="The API: scheme, host and port.")
@click.option("--rate", default=10.0, show_default=True, type=click.FloatRange(0.1), help="Calls per second.")
@click.option("--block-ms", default=200.0, show_default=True, type=click.FloatRange(0), help="How long it blocks.")
@click.option("--block-every", default=1.0, show_default=True, type=click.FloatRange(0.01), help="Seconds between.")
@click.option("--duration", default=0.0, show_default=True, type=click.FloatRange(0), help="Seconds; 0: until stopped.")
def command(*, url: str, rate: float, block_ms: float, block_every: float, duration: float) -> None:
    """Call until asked to end."""

    async def main() -> None:
        client = _Client(url)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(client.call_at(rate, group)),
                group.create_task(_block(block_ms / 1000, every_s=block_every)),
            ]
            try:
                async with asyncio.timeout(duration or None):
                    await running.until_asked()
            except TimeoutError:
                pass
            for task in tasks:
                task.cancel()
        await client.aclose()
        running.say(calls=client.calls, attempts=client.attempts, ok=client.ok)

    running.run(main())


async def _block(seconds: float, *, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        time.sleep(seconds)  # noqa: ASYNC251 - the very fault that is to be seen


class _Client:
    """Sends orders, and retries what may be retried."""

    def __init__(self, url: str) -> None:
        self._http = httpx2.AsyncClient(base_url=url, timeout=2.0, trust_env=False)
        self._random = random.Random()  # noqa: S311 - jitter and trace IDs
        self.calls = self.attempts = self.ok = 0

    async def call_at(self, rate: float, group: asyncio.TaskGroup) -> None:
        """Begin a call at every tick."""
        while True:
            self.calls += 1
            group.create_task(self._call(self.calls))
            await asyncio.sleep(1 / rate)

    async def _call(self, number: int) -> None:
        trace_id, key = f"{self._random.getrandbits(128) or 1:032x}", str(uuid.uuid4())
        for attempt in range(_ATTEMPTS):
            self.attempts += 1
            headers = {
                "traceparent": f"00-{trace_id}-{self._random.getrandbits(64) or 1:016x}-01",
                "x-request-id": f"slow-{number}",
                "idempotency-key": key,
            }
            try:
                response = await self._http.post("/orders", json={"order": number}, headers=headers)
            except httpx2.TransportError:
                status, asked_s = None, 0.0
            else:
                status, asked_s = response.status_code, float(response.headers.get("retry-after", 0))
            if status is not None and status not in _AGAIN:
                self.ok += status < 400
                return
            await asyncio.sleep(asked_s + self._random.uniform(0, 0.1 * 2**attempt))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()
