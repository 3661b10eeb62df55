"""Archived lines of every version that there was are read, and fit the published schema."""

import json
from pathlib import Path

import jsonschema
import msgspec
import pytest

from collector.domain import audit_schema
from collector.domain.audit import AUDIT_VERSION, decode, weight
from collector.domain.events import Connection, Exchange, Loss
from tests.support.audit_events import connection, exchange

FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("audit-*.jsonl"))
SCHEMA = Path(__file__).parents[4] / "docs/specs/audit-event.schema.json"


def test_there_is_a_fixture_of_the_version_that_is_written():
    assert f"audit-{AUDIT_VERSION}.jsonl" in {path.name for path in FIXTURES}


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_every_version_is_read(path):
    lines = path.read_bytes().splitlines()
    found = [decode(line) for line in lines]
    assert [type(one.event) for one in found] == [Exchange, Exchange, Connection, Loss]
    assert [one.head.audit_seq for one in found] == [1, 2, 3, 4]
    assert {one.head.writer for one in found} == {"00112233aabbccdd"}
    assert found[0].event.trace_id == f"{1:032x}"
    assert found[1].event.service is None


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_every_version_fits_the_schema(path):
    schema = json.loads(SCHEMA.read_text())
    for line in path.read_text().splitlines():
        jsonschema.validate(json.loads(line), schema)


def test_fields_of_a_later_version_are_ignored():
    line = FIXTURES[0].read_bytes().splitlines()[0]
    later = line.replace(b'{"audit_version":"1.0"', b'{"audit_version":"1.7","something_new":[1]')
    assert decode(later).event == decode(line).event


def test_what_is_no_event_is_refused():
    with pytest.raises(msgspec.MsgspecError):
        decode(b'{"writer":"00112233aabbccdd","audit_seq":1,"kind":"unheard-of"}')


def test_the_published_schema_is_that_of_the_types():
    assert SCHEMA.read_text() == audit_schema.text()


def test_what_gives_way_first():
    assert weight(connection(1)) == "ordinary"
    assert weight(connection(1, severity="error")) == "critical"
    assert weight(exchange(1)) == "critical"
