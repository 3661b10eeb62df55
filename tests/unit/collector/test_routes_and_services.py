"""Routes of bounded number, targets without secrets, services named by rule."""

import pytest

from collector.correlate.routes import OTHER, RouteTable, redact, template
from collector.domain.services import name_service


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/"),
        ("/users/17", "/users/{id}"),
        ("/users/7b9e1f60-1c2d-4e5f-8a9b-0c1d2e3f4a5b/x", "/users/{id}/x"),
        ("/o/deadbeef01", "/o/{id}"),
        ("/v1/orders", "/v1/orders"),
        ("/files/a1b2c3d4e5f6g7h8i9", "/files/{id}"),
    ],
)
def test_templates(path, expected):
    assert template(path) == expected


def test_cardinality_is_bounded_and_counted():
    table = RouteTable(limit=10)
    routes = {table.route("s", f"/p{'x' * n}") for n in range(40)}
    assert len(routes) == 11
    assert OTHER in routes
    assert table.overflowed == 30


def test_configured_templates_come_first():
    table = RouteTable(("/shops/{name}/items",))
    assert table.route("s", "/shops/berlin/items") == "/shops/{name}/items"


def test_redaction():
    assert redact("/a?x=1&y=&z") == ("/a?x=*&y=*&z", False)
    assert redact("/" + "a" * 3000)[1] is True


@pytest.mark.parametrize(
    ("comm", "arguments", "cgroup", "expected"),
    [
        ("python3", ("python3", "billing.py"), "/", "billing"),
        ("python3", ("/usr/bin/python3", "-m", "worker.main"), None, "worker.main"),
        ("uvicorn", ("/usr/bin/python3", "/opt/bin/uvicorn", "shop.api:app"), None, "shop"),
        ("python3", ("python3", "-c", "x"), None, "python3"),
        ("node", ("node", "--inspect", "server.js"), None, "server"),
        ("nginx", ("nginx: worker process",), "/system.slice/nginx.service", "nginx"),
        ("java", ("java",), "/docker/" + "0123456789ab" + "c" * 52, "0123456789ab"),
        ("curl", ("curl", "http://x"), "/user.slice/session-1.scope", "curl"),
    ],
)
def test_services(comm, arguments, cgroup, expected):
    assert name_service(comm=comm, arguments=arguments, cgroup=cgroup) == expected


def test_configured_services_win():
    assert name_service(comm="java", arguments=(), cgroup=None, configured=(("ja*", "core"),)) == "core"
