"""Rung 4, forced: the same exact events from the end of system calls. NETSCOPE_TEST_RUNG=exit runs the whole suite on it."""

import os

from tests.support import kernel_has
from tests.support.sockets import exchange, read_exactly, request, response, tcp_pair, trace_id


def told(watching):
    return [
        (e["role"], e["target"], e["trace_id"], e["status_code"], e["outcome"], e["bytes_sent"], e["bytes_received"])
        for e in sorted(watching.exchanges(), key=lambda e: (e["role"], e["exchange_no"]))
    ]


def scenario(traces):
    with tcp_pair() as (client, server):
        exchange(client, server, request("/1", trace=traces[0]), response())
        whole = request("/2", method="POST", trace=traces[1], body=b"b" * 3000)
        for at in range(0, len(whole), 700):
            client.sendall(whole[at : at + 700])
        read_exactly(server, len(whole))
        os.writev(server.fileno(), [b"", response()[:9], response()[9:]])
        read_exactly(client, len(response()))
        exchange(client, server, request("/3") + request("/4"), response(status=404) + response(b""))


def test_rungs_tell_the_same(watch):
    traces = [trace_id(), trace_id()]
    results = []
    for rung in ("length" if kernel_has.tracepoint("sock_send_length") else "fexit", "exit", "enter"):
        watching = watch(rung=rung)
        scenario(traces)
        watching.stop()
        assert watching.summary["rung"] == rung
        assert watching.lost() == {}
        results.append(told(watching))
    assert results[0] == results[1] == results[2]
    assert len(results[0]) == 8


def test_cookies_of_sockets_older_than_the_watch(watch):
    with tcp_pair() as (client, server):
        exchange(client, server, request("/unseen"), response())
        watching = watch(rung="exit")
        exchange(client, server, request("/joined"), response())
        watching.stop()
    assert [e["target"] for e in watching.exchanges("client")] == ["/joined"]
    assert all(e["quality"]["joined_mid"] for e in watching.exchanges())
