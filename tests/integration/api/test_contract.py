"""The four contract routes by their exact schemas, and every operation of the OpenAPI document by schemathesis."""

import copy
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import jsonschema
import pytest

from api import openapi
from tests.support.sockets import exchange, request, response, tcp_pair, trace_id

EXAMPLES, PATIENCE_S = ("200", 900) if os.environ.get("NETSCOPE_FULL") else ("15", 110)
CONTRACT = {
    "/health/live": ("Health", "application/health+json"),
    "/health/ready": ("Health", "application/health+json"),
    "/metrics/network": ("NetworkSnapshot", "application/json"),
    "/resilience/state": ("ResilienceSnapshot", "application/json"),
}


def exact(name):
    """The published schema, with nothing more and nothing less than its properties."""
    schemas = copy.deepcopy(openapi.document()["components"]["schemas"])
    for schema in schemas.values():
        if schema.get("type") == "object" and "properties" in schema:
            schema["additionalProperties"] = False
            schema["required"] = list(schema["properties"])
    return {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}


@pytest.fixture(scope="module", autouse=True)
def real_traffic(service):
    """Exchanges of every kind while the tests ask."""
    ended = threading.Event()

    def ask():
        number = 0
        while not ended.wait(0.02):
            with tcp_pair() as (client, server):
                for status in (200, 404, 503):
                    number += 1
                    trace = trace_id() if number % 3 else None
                    exchange(client, server, request(f"/orders/{number}", trace=trace), response(status=status))

    thread = threading.Thread(target=ask)
    thread.start()
    service.until("/v1/exchanges", lambda found: len(found["items"]) > 10)
    yield
    ended.set()
    thread.join()


@pytest.mark.parametrize("path", CONTRACT)
def test_the_contract_routes_have_exactly_their_schema(service, path):
    schema, media = CONTRACT[path]
    status, headers, body = service.get(path)
    assert (status, headers["content-type"]) == (200, media)
    jsonschema.Draft202012Validator(exact(schema)).validate(json.loads(body))


@pytest.mark.parametrize("path", ["/metrics/network", "/resilience/state"])
def test_both_names_of_a_route_give_the_same_answer(service, path):
    one, other = service.json(path), service.json(f"/v1{path}")
    assert one.keys() == other.keys()
    assert one["version"] == other["version"]


def test_the_served_document_is_the_published_one(service):
    status, headers, body = service.get("/openapi.json")
    assert (status, headers["content-type"], body) == (200, "application/json", openapi.text())


@pytest.mark.timeout(PATIENCE_S + 10)
def test_every_operation_keeps_its_word(service):
    """Every check over examples, boundary values, wrong values, wrong methods, and generated data."""
    done = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"), "--config-file", Path(__file__).with_name("schemathesis.toml"),
            "run", f"{service.url}/openapi.json", "--checks", "all", "--max-examples", EXAMPLES, "--suppress-health-check",
            "all", "--generation-deterministic", "--no-color",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    assert re.search(rf"Tested: +{len(openapi.OPERATIONS)}\b", done.stdout), done.stdout[-2000:]
    assert service.logged("request_failed") == []


def test_what_is_observed_comes_back_exactly(service):
    trace = f"{time.time_ns():032x}"
    with tcp_pair() as (client, server):
        exchange(client, server, request("/orders/7", trace=trace), response(status=503))
    found = service.until(f"/v1/traces/{trace}", lambda one: len(one.get("exchanges", ())) == 2)
    assert {event["role"] for event in found["exchanges"]} == {"client", "server"}
    assert {event["status_code"] for event in found["exchanges"]} == {503}
    page = service.json(f"/v1/exchanges?trace_id={trace}&status>=500&role=client")
    assert [event["trace_id"] for event in page["items"]] == [trace]


def test_open_connections_are_listed_with_what_moved_on_them(service):
    with tcp_pair() as (client, server):
        ask, answer = request("/orders/8"), response()
        port = client.getsockname()[1]
        exchange(client, server, ask, answer)
        client.sendall(ask)
        mine = f"/v1/connections?pid={os.getpid()}"
        server.recv(4096)
        found = service.until(
            mine, lambda one: {each["under_way"] for each in one["standing"] if port in ends(each)} == {1}
        )
        ours = {one["role"]: one for one in found["standing"] if port in ends(one)}
        assert {one["role"]: (one["exchanges"], one["protocol"]) for one in ours.values()} == dict.fromkeys(
            ("client", "server"), (1, "http/1.1")
        )
        assert (ours["client"]["bytes_sent"], ours["client"]["bytes_received"]) == (2 * len(ask), len(answer))
        assert len(service.json("/v1/connections?limit=1")["standing"]) == 1
        assert service.json("/v1/connections?comm=nobody")["standing"] == []
    service.until(mine, lambda one: not any(port in ends(each) for each in one["standing"]))


def ends(connection):
    """Its two ports."""
    return connection["local_port"], connection["peer_port"]
