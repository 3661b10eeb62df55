"""23 connections x 7 exchanges of an unmodified asyncio client: every one, on both sides, and totals that balance."""

import re
import subprocess
import sys
import time

from tests.support.watching import PATIENCE

CONNECTIONS, EXCHANGES = 23, 7
SERVER = """
import asyncio, sys
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
import uvicorn
async def order(request):
    await request.body()  # an answer that overtakes its request ends the exchange 250 ms later
    print(request.headers["traceparent"], request.path_params["number"], file=sys.stderr, flush=True)
    return JSONResponse({"n": request.path_params["number"]})
uvicorn.run(Starlette(routes=[Route("/orders/{number}", order, methods=["POST"])]), port=int(sys.argv[1]), log_level="warning")
"""
CLIENT = f"""
import asyncio, sys, httpx2
async def worker(n, port, gate):
    limits = httpx2.Limits(max_connections=1)
    async with httpx2.AsyncClient(base_url="http://127.0.0.1:" + str(port), limits=limits, trust_env=False, verify=False, timeout=200) as client:
        await gate.wait()
        for k in range({EXCHANGES}):
            number = n * 100 + k
            headers = dict(traceparent="00-%032x-00f067aa0ba902b7-01" % (number + 1))
            (await client.post("/orders/" + str(number), json=dict(n=number), headers=headers)).raise_for_status()
async def main():
    gate = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for n in range({CONNECTIONS}):
            group.create_task(worker(n, int(sys.argv[1]), gate))
        gate.set()
asyncio.run(main())
"""


def free_port():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def bytes_by_ss(port):
    """What the kernel says of the server's established sockets: bytes received and sent (acknowledged)."""
    text = subprocess.run(["ss", "-tinHO", f"sport = :{port}"], capture_output=True, text=True, check=True).stdout
    received = sum(map(int, re.findall(r"bytes_received:(\d+)", text)))
    return received, sum(map(int, re.findall(r"bytes_acked:(\d+)", text)))


def test_161_exchanges_on_both_sides(watch, tmp_path):
    port = free_port()
    total = CONNECTIONS * EXCHANGES
    (tmp_path / "server.py").write_text(SERVER)
    with (tmp_path / "server.log").open("wb") as log:
        server = subprocess.Popen([sys.executable, tmp_path / "server.py", str(port)], stderr=log)
    try:
        for _ in range(200):
            if b"LISTEN" in subprocess.run(["ss", "-tlH", f"sport = :{port}"], capture_output=True, check=True).stdout:
                break
            time.sleep(0.05)
        watching = watch("--port", port, "--include-connections")
        subprocess.run([sys.executable, "-c", CLIENT, str(port)], check=True, timeout=60 * PATIENCE)
        time.sleep(0.2)
        watching.stop()
    finally:
        server.terminate()
        server.wait(10)
    lines = [line.split() for line in (tmp_path / "server.log").read_text().splitlines() if line.startswith("00-")]
    assert len(lines) == total
    by_trace = {traceparent.split("-")[1]: number for traceparent, number in lines}
    for role in ("client", "server"):
        events = watching.exchanges(role)
        assert len(events) == total
        assert {e["trace_id"]: e["target"].rsplit("/", 1)[1] for e in events} == by_trace
        assert {e["outcome"] for e in events} == {"ok"}
        assert {e["route"] for e in events} == {"/orders/{id}"}
        connections = watching.connections(role)
        assert len(connections) == CONNECTIONS
        assert {c["exchanges"] for c in connections} == {EXCHANGES}
        assert {c["kernel_exchanges"] for c in connections} == {EXCHANGES}
        for field in ("bytes_sent", "bytes_received"):
            assert sum(e[field] for e in events) == sum(c[field] for c in connections)
    assert watching.lost() == {}
    assert watching.summary["kernel"]["exchanges"] == 2 * total


def test_totals_equal_what_ss_says(watch):
    from tests.support.sockets import exchange, request, response, tcp_pair

    watching = watch("--include-connections")
    with tcp_pair() as (client, server):
        for number in range(50):
            exchange(client, server, request(f"/{number}"), response(b"x" * number))
        time.sleep(0.05)
        received, sent = bytes_by_ss(server.getsockname()[1])
        watching.stop()
    (connection,) = watching.connections("server")
    assert (connection["bytes_received"], connection["bytes_sent"]) == (received, sent)
