"""A small shop: an ordinary asyncio client of the order service. Waits for a line on stdin, ends on SIGTERM.

It does what real clients do: carries trace IDs, retries a refused payment under the same key, and now and then computes
for 200 ms in its event loop, so that an answer lies in the kernel unread.
"""

import asyncio
import itertools
import random
import secrets
import signal
import sys
import time

import httpx2

BLOCKED_S = 0.2


class Shop:
    """The client and what it counted."""

    def __init__(self, address: str) -> None:
        self.http = httpx2.AsyncClient(base_url=address, timeout=5)
        self.stopping = asyncio.Event()
        self.requests = 0
        self.retries = 0

    async def send(self, method: str, path: str, trace: str, **headers: str) -> httpx2.Response:
        """Send one request as a new span of the trace."""
        self.requests += 1
        return await self.http.request(
            method, path, headers={"traceparent": f"00-{trace}-{secrets.token_hex(8)}-01", **headers}
        )

    async def look_up_orders(self) -> None:
        """Ask for one order after the other."""
        for number in itertools.count(10):
            await self.send("GET", f"/orders/{number}", secrets.token_hex(16))
            if await self.pause(0.45):
                return

    async def pay(self) -> None:
        """Pay; where the bank is busy, come again with the same key."""
        while not await self.pause(1.3):
            trace, key = secrets.token_hex(16), secrets.token_hex(6)
            while (await self.send("POST", "/payments", trace, **{"Idempotency-Key": key})).status_code == 503:
                self.retries += 1
                await asyncio.sleep(0.1)

    async def report(self) -> None:
        """Ask for what takes the server its time."""
        while not await self.pause(2.1):
            await self.send("GET", f"/reports/daily?month={random.randint(1, 12)}", secrets.token_hex(16))

    async def compute(self) -> None:
        """Ask for stock, and block the event loop while the answer is on its way."""
        while not await self.pause(1.7):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.send("GET", "/stock/4711", secrets.token_hex(16)))
                await asyncio.sleep(0.01)  # the request is out, the answer comes in 10 ms
                time.sleep(BLOCKED_S)  # noqa: ASYNC251  # the fault that the demo shows

    async def pause(self, seconds: float) -> bool:
        """Wait; tell whether it is time to stop."""
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Do all of it at once until told to stop."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.stopping.set)
        async with self.http, asyncio.TaskGroup() as tasks:
            for work in (self.look_up_orders, self.pay, self.report, self.compute):
                tasks.create_task(work())
        print(f"{self.requests} requests, {self.retries} of them retries", flush=True)


async def main() -> None:
    """Shop at the address on the command line."""
    await Shop(sys.argv[1]).run()


if __name__ == "__main__":
    sys.stdin.readline()
    asyncio.run(main())
