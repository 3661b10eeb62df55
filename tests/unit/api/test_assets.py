"""The page's files, from memory."""

import gzip
import json
import re
import subprocess
import sys

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from api.assets import FOLDER, Assets

LATER = {f"views/{name}.js" for name in ("detail", "fields", "help", "lock", "waterfall")} | {"verdict.js"}
PLAIN = {"accept-encoding": "identity"}


@pytest.fixture
def client(tmp_path):
    (tmp_path / "views").mkdir()
    (tmp_path / "views/a.js").write_text("export const a = 1;\n" * 100)
    (tmp_path / "index.html").write_text("<!doctype html>")
    (tmp_path.parent / "secret.txt").write_text("secret")
    files = Assets(tmp_path)
    with TestClient(Starlette(routes=[Route("/", files.page), Route("/static/{name:path}", files.file)])) as found:
        yield found


def test_a_file_comes_with_its_type_and_compressed_where_that_is_smaller(client):
    answer = client.get("/static/views/a.js", headers={"accept-encoding": "gzip"})
    assert (answer.status_code, answer.headers["content-encoding"]) == (200, "gzip")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert client.get("/static/views/a.js", headers=PLAIN).text == answer.text
    assert "content-encoding" not in client.get("/", headers={"accept-encoding": "gzip"}).headers


def test_the_same_file_is_not_sent_again(client):
    tag = client.get("/static/views/a.js").headers["etag"]
    again = client.get("/static/views/a.js", headers={"if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")


def test_nothing_else_is_served(tmp_path):
    missing = Assets(tmp_path / "no such folder")
    assert missing._files == {}
    inside = Assets()
    assert all(not name.startswith(("/", "..")) for name in inside._files)


def test_the_page_loads_every_module_at_once_and_nothing_that_is_not_there():
    page = (FOLDER / "index.html").read_text()
    preloaded = set(re.findall(r'modulepreload" href="/static/([^"]+)"', page))
    modules = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.suffix in (".js", ".mjs")}
    assert preloaded == modules - {"theme.js", "too-old.js", "vendor/uPlot.iife.min.js"} - LATER
    for name in re.findall(r'(?:href|src)="/static/([^"]+)"', page):
        assert (FOLDER / name).is_file()


def test_the_page_weighs_little():
    packed = sum(
        len(gzip.compress(path.read_bytes()))
        for path in FOLDER.rglob("*")
        if path.suffix in (".js", ".mjs", ".css", ".html", ".svg")
    )
    assert packed < 110_000


def test_the_libraries_are_what_was_fetched():
    record = json.loads((FOLDER / "vendor/vendor.json").read_text())
    assert {one["name"] for one in record} == {"preact", "htm", "uplot"}
    assert all(one["version"] and one["licence"] for one in record)
    subprocess.run([sys.executable, "tools/vendor_page.py", "--check"], check=True, cwd=FOLDER.parents[1])
