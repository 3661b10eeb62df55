"""What clients do wrong, one by one: the right refusal, no secret in the log, and nobody else affected."""

import json
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from collector import listening
from tests.support.serving import Frames, Service, drained
from tests.support.sockets import exchange, request, response, tcp_pair

TOKEN = "0123456789abcdef-the-token"
SECRET = "s3cret-that-nobody-logs"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A service that needs a token, as every one that other hosts reach."""
    path = tmp_path_factory.mktemp("token") / "token"
    path.write_text(TOKEN)
    os.chmod(path, 0o600)
    with Service("--token-file", path, "--log-level", "debug", listen="0.0.0.0:0") as running:
        yield running


@pytest.fixture
def unaffected(service):
    """A subscriber and a reader go on as if nothing were."""
    trace = f"{time.time_ns():032x}"
    with Frames(service, f"/v1/feed?trace_id={trace}") as feed:
        assert feed.message()["kind"] == "hello"
        yield
        with tcp_pair() as (client, server):
            exchange(client, server, request(trace=trace), response())
        assert {feed.event()["role"] for _ in range(2)} == {"client", "server"}
    status, _, _ = service.get("/health/ready")
    assert status == 200
    assert service.logged("request_failed") == []


def refused(service, path, status, type_, **more):
    found, headers, body = service.get(path, **more)
    assert (found, headers["content-type"]) == (status, "application/problem+json"), body
    problem = json.loads(body)
    assert problem["type"].endswith(f"#{type_}")
    assert problem["status"] == status
    return problem


@pytest.mark.parametrize(
    "path",
    [
        "/v1/metrics/network?window=2h",
        "/v1/metrics/network?window=99999999999999999999h",
        "/v1/metrics/network?window=",
        "/v1/metrics/network?windw=1m",
        "/v1/metrics/network?service=a&service=b",
        "/v1/metrics/network?service=%ff",
        "/v1/resilience/state?x=1",
        "/v1/exchanges?limit=1000000000",
        "/v1/exchanges?limit=-1",
        "/v1/exchanges?cursor=../../etc/passwd",
        "/v1/exchanges?status=fast",
        "/v1/exchanges?no_such_field=1",
        "/v1/exchanges?filter=%22",
        "/v1/connections?cursor=0",
        "/v1/audit?from=yesterday&to=today",
        "/v1/audit?from=2026-01-01T00:00:00Z",
        "/v1/audit?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z",
        "/health/live?" + "a" * 5_000,
        "/health/live?" + "&".join(f"a{n}=1" for n in range(200)),
    ],
)
def test_wrong_types_unknown_fields_huge_windows_and_bad_cursors(service, path):
    assert refused(service, path, 400, "bad-parameter")["detail"]


def test_a_cursor_of_another_run(service):
    refused(service, "/v1/exchanges?cursor=0123456789abcdef.5", 404, "unknown-cursor")


def test_paths_and_methods_that_are_not_there(service):
    refused(service, "/v2/exchanges", 404, "not-found")
    refused(service, "/v1/traces/none", 404, "unknown-trace")
    refused(service, "/v1/traces/", 404, "unknown-trace")
    refused(service, "/static/../app.py", 404, "not-found")
    for method in ("POST", "PUT", "DELETE", "PATCH", "TRACE"):
        refused(service, "/v1/exchanges", 405, "method-not-allowed", method=method)


def test_a_body_too_big(service, unaffected):
    refused(service, "/health/live", 413, "body-too-big", method="POST", body=b"x" * 100_000)


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: x\r\n\r\n",
        b"GET  /  HTTP/9.9\r\n\r\n",
        b"\0" * 500,
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 300_000,
    ],
    ids=["tls", "framing", "version", "zeros", "long"],
)
def test_what_is_not_http(service, unaffected, data):
    with service.raw(data) as sock:
        answer = drained(sock)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 431 ")), answer[:200]
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["type"].endswith("#bad-request")


def test_slow_heads_are_given_up_and_cost_nobody_else_anything(service, unaffected):
    """200 connections that send their head a byte at a time, one that says nothing, one slow at its second request."""
    started = time.monotonic()
    slow = [service.raw(b"GET / HTTP/1.1\r\n") for _ in range(200)]
    silent = service.raw()
    kept = service.raw(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert kept.recv(65536).startswith(b"HTTP/1.1 200 ")
    kept.sendall(b"GET /health")
    answered, took = 0, []
    try:
        while time.monotonic() - started < 8:
            for sock in slow:
                sock.sendall(b"X")
            began = time.monotonic()
            assert service.get("/health/live")[0] == 200
            took.append(time.monotonic() - began)
            time.sleep(0.5)
        for sock in (*slow, silent, kept):
            answer = drained(sock)
            answered += b"HTTP/1.1 408 " in answer and b"slow-head" in answer
    finally:
        for sock in (*slow, silent, kept):
            sock.close()
    assert answered == 202
    assert sorted(took)[len(took) // 2] < 1


def test_too_many_connections_are_told_so(service):
    listening.allow_descriptors(4_096)  # here; the service sees to its own
    held = []
    try:
        for _ in range(1_100):
            held.append(service.raw())
        last = held[-1]
        last.settimeout(10)
        assert b" 503 " in drained(last)
    finally:
        for sock in held:
            sock.close()
    deadline = time.monotonic() + 10
    while service.get("/health/live")[0] != 200:
        assert time.monotonic() < deadline


def test_a_client_that_does_not_read_its_answer(service, unaffected):
    """Pipelined requests without ever reading: answers wait at the sender's, not here."""
    with service.raw() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(1)
        one = b"GET /v1/exchanges?limit=500 HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with pytest.raises(TimeoutError):
            sock.sendall(one * 200_000)


# -- WebSocket upgrades and frames --------------------------------------------------------------------------------


def upgrade(service, *lines, path="/v1/feed", host=None):
    head = [f"GET {path} HTTP/1.1", host or f"Host: 127.0.0.1:{service.port}", *lines, "", ""]
    with service.raw("\r\n".join(head).encode("latin-1")) as sock:
        answer = drained(sock)
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


UPGRADE = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"), 400),
        ((*UPGRADE[:2], "Sec-WebSocket-Key: short", "Sec-WebSocket-Version: 13"), 400),
        ((*UPGRADE, "Sec-WebSocket-Version: 8"), 400),
        ((*UPGRADE,), 400),
        ((*UPGRADE, "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400),
        ((*UPGRADE, "Sec-WebSocket-Version: 13", "X-Long: " + "a" * 9_000), 400),
        ((*UPGRADE, "Sec-WebSocket-Version: 13", *(f"X-{n}: 1" for n in range(150))), 400),
    ],
)
def test_malformed_upgrades(service, unaffected, lines, status):
    found, problem = upgrade(service, *lines)
    assert (found, problem["type"].partition("#")[2]) == (status, "bad-upgrade")


def test_no_upgrade_at_all(service):
    refused(service, "/v1/feed", 426, "upgrade-needed")


@pytest.mark.parametrize(
    ("path", "status", "type_"),
    [
        ("/v1/feed?after=-1", 400, "bad-parameter"),
        ("/v1/feed?after=99999999999", 400, "bad-parameter"),
        ("/v1/feed?after=now", 400, "bad-parameter"),
        ("/v1/feed?epoch=x", 400, "bad-parameter"),
        ("/v1/feed?severity=loud", 400, "bad-parameter"),
        ("/v1/feed?nothing=1", 400, "bad-parameter"),
        ("/v1/no-feed", 404, "not-found"),
        ("/v1/exchanges", 404, "not-found"),
    ],
)
def test_upgrades_that_ask_for_what_is_not_there(service, path, status, type_):
    with Frames(service, path) as feed:
        problem = feed.refusal()
    assert (feed.status, problem["type"].partition("#")[2]) == (status, type_)


@pytest.mark.parametrize(
    ("opcode", "payload", "code"),
    [
        (1, b"hello", 1008),
        (2, b"\0\1\2", 1008),
        (1, b"x" * 5_000, 1009),
        (1, b"\xff\xfe", 1007),
        (9, b"x" * 126, 1002),
        (3, b"", 1002),
        (8, b"\x03", 1002),
    ],
    ids=["message", "binary", "oversized", "no-utf8", "long-ping", "reserved", "short-close"],
)
def test_frames_that_a_client_should_not_send(service, unaffected, opcode, payload, code):
    with Frames(service) as feed:
        feed.message()
        feed.send(opcode, payload)
        assert feed.close_code() == code


def test_a_frame_that_claims_to_be_huge(service, unaffected):
    with Frames(service) as feed:
        feed.message()
        feed.sock.sendall(b"\x81\xff" + (1 << 62).to_bytes(8, "big") + b"abcd")
        assert feed.close_code() == 1009


def test_a_frame_without_a_mask(service, unaffected):
    with Frames(service) as feed:
        feed.message()
        feed.sock.sendall(b"\x81\x02hi")
        assert feed.close_code() == 1002


def test_pings_whose_answers_nobody_reads_end_the_connection(service, unaffected):
    with Frames(service, receive_buffer=4096) as feed:
        feed.sock.settimeout(20)
        ping = b"\x89\xfdabcd" + b"x" * 125
        with pytest.raises(ConnectionError):
            feed.sock.sendall(ping * 400_000)


def test_a_client_that_vanishes(service, unaffected):
    for _ in range(50):
        feed = Frames(service)
        feed.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        feed.sock.close()
    service.until("/v1/losses", lambda found: found["feed"]["clients"] <= 1)


def test_what_was_refused_is_in_the_log(service):
    """Last of those above: each kind of refusal has left its event."""
    service.await_said("feed_message_refused")
    said = {line["message"] for line in service.logged("library_log")}
    assert "ASGI callable returned without completing handshake." not in said
    for beginning in ("upgrade refused: ", "feed client closed with 1009", "connection refused: slow-head"):
        assert any(message.startswith(beginning) for message in said), (beginning, said)


# -- who may ask --------------------------------------------------------------------------------------------------


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    "headers",
    [
        {}, bearer(SECRET), bearer(""), bearer(TOKEN + "x"), bearer(TOKEN[:-1]), {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"}, {"Cookie": f"token={TOKEN}"},
    ],
)  # fmt: skip
def test_without_the_token_nothing_observed_is_told(guarded, headers):
    for path in ("/v1/exchanges", "/metrics", "/v1/nothing"):
        problem = refused(guarded, path, 401, "token-needed", headers=headers)
        assert SECRET not in json.dumps(problem)


def test_with_the_token_it_is(guarded):
    assert guarded.get("/v1/exchanges", headers=bearer(TOKEN))[0] == 200
    with Frames(guarded, headers=[f"Authorization: Bearer {TOKEN}"]) as feed:
        assert feed.message()["kind"] == "hello"
    with Frames(guarded, headers=[f"Sec-WebSocket-Protocol: netscope.feed.v1, bearer.{TOKEN}"]) as feed:
        assert "Sec-WebSocket-Protocol: netscope.feed.v1" in feed.head
        assert TOKEN not in feed.head
        assert feed.message()["kind"] == "hello"


def test_health_needs_no_token(guarded):
    assert guarded.get("/health/live")[0] == guarded.get("/health/ready")[0] == 200


def test_the_feed_needs_the_token(guarded):
    for headers in ([], [f"Authorization: Bearer {SECRET}"], [f"Sec-WebSocket-Protocol: bearer.{SECRET}"]):
        with Frames(guarded, headers=headers) as feed:
            assert (feed.status, feed.refusal()["type"].partition("#")[2]) == (401, "token-needed")


def test_foreign_origins(service, guarded):
    for origin in ("https://evil.example", "null", f"http://127.0.0.1:{service.port}.evil.example"):
        refused(service, "/v1/exchanges", 403, "foreign-origin", headers={"Origin": origin})
        with Frames(service, headers=[f"Origin: {origin}"]) as feed:
            assert (feed.status, feed.refusal()["type"].partition("#")[2]) == (403, "foreign-origin")
        with Frames(guarded, headers=[f"Origin: {origin}", f"Authorization: Bearer {TOKEN}"]) as feed:
            assert feed.status == 403
    with Frames(service, headers=[f"Origin: http://127.0.0.1:{service.port}"]) as feed:
        assert feed.message()["kind"] == "hello"


def test_a_foreign_name_cannot_be_pointed_here(service):
    refused(service, "/v1/exchanges", 421, "foreign-host", headers={"Host": "evil.example"})
    status, problem = upgrade(service, *UPGRADE, "Sec-WebSocket-Version: 13", host="Host: evil.example")
    assert (status, problem["type"].partition("#")[2]) == (421, "foreign-host")


def test_secrets_are_not_in_the_log(guarded):
    guarded.get(f"/v1/exchanges?token={SECRET}", headers=bearer(SECRET))
    with Frames(guarded, f"/v1/feed?token={SECRET}", headers=[f"Sec-WebSocket-Protocol: bearer.{SECRET}"]):
        pass
    guarded.await_said(r'"reason":"wrong_token"')
    assert guarded.logged("request_refused")
    assert SECRET not in guarded.read()
    assert TOKEN not in guarded.read()


def test_guessing_tokens_is_slowed_down(tmp_path):
    path = tmp_path / "token"
    path.write_text(TOKEN)
    os.chmod(path, 0o600)
    with Service("--token-file", path) as running:
        found = [running.get("/v1/losses", headers=bearer(f"guess-{n}"))[0] for n in range(70)]
        assert found[:60] == [401] * 60
        assert found[-1] == 429
        assert running.get("/v1/losses", headers=bearer(TOKEN))[0] == 429


def test_no_more_than_so_many_requests_a_minute():
    with Service(env={"NETSCOPE_REQUESTS_PER_MINUTE": "20"}) as running:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: running.get("/v1/losses"), range(60)))
        assert [status for status, _, _ in found].count(200) <= 40  # two windows at most
        late = next(headers for status, headers, _ in found if status == 429)
        assert late["retry-after"] == "60"


def test_other_addresses_need_a_token_to_start():
    with pytest.raises(AssertionError, match="a token is needed"):
        Service(listen="0.0.0.0:0")
